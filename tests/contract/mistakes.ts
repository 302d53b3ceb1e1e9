// What the generated types must refuse: `tsc` fails if one of these lines compiles.
import createClient from "openapi-fetch";
import type { paths } from "./openapi.js";

const client = createClient<paths>();

// @ts-expect-error a number is required
await client.POST("/otp/send", { body: {} });
// @ts-expect-error a channel is one of five
await client.POST("/otp/send", { body: { to: "+12025550100", channel: "pigeon" } });
// @ts-expect-error there is no such path
await client.GET("/otp/nothing/here");
const { data, error } = await client.GET("/otp/{challenge_id}", { params: { path: { challenge_id: "x" } } });
// @ts-expect-error an answer has no such state
if (data?.status === "won") console.log(data);
// @ts-expect-error no problem has such a code
if (error?.code === "out_of_luck") console.log(error);
