// The classic script: one global, `Otp`.

import { setService } from "./origin.js";
import { define } from "./public.js";

setService((document.currentScript as HTMLScriptElement | null)?.src);
define();

export * from "./public.js";
