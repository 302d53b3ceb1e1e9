// The classic script: one global, `Otp`.

import { setService } from "./origin.js";

setService((document.currentScript as HTMLScriptElement | null)?.src);

export * from "./public.js";
