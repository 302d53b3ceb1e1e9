// The ES module.

import { setService } from "./origin.js";
import { define } from "./public.js";

setService(import.meta.url.startsWith("http") ? import.meta.url : undefined);
define();

export * from "./public.js";
