// The names of all words: each language has a text for each. Knows names only.

export type Name =
  | "title" | "toLabel" | "toHint" | "abroadHint" | "send" | "codeTitle" | "callTitle" | "sending" | "sent" | "arrived"
  | "instead" | "calling" | "failed" | "change" | "codeLabel" | "codeHint" | "verify" | "wait" | "none" | "again"
  | "call" | "by" | "fresh" | "expires" | "noTo" | "badTo" | "shortTo" | "longTo" | "noCountry" | "noRoute" | "noCode"
  | "badCode" | "several" | "wrong" | "tries" | "limit" | "busy" | "offline" | "setup" | "check" | "noCheck" | "noSends"
  | "endTitle" | "expired" | "exhausted" | "undelivered" | "restart" | "done" | "sms" | "whatsapp" | "voice" | "rcs" | "mip";
