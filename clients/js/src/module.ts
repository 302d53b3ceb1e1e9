// The ES module.

import { setService } from "./origin.js";

setService(import.meta.url.startsWith("http") ? import.meta.url : undefined);

export * from "./public.js";
