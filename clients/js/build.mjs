// Builds the files of the npm package into dist/. With OTP_FORM_FOLDER, it builds into that folder what the service
// serves: the scripts, the languages, and the hashes by which a page can pin them.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const served = process.env.OTP_FORM_FOLDER;
const { version } = JSON.parse(await readFile("package.json", "utf8"));
const folder = served ?? "dist";
const hashes = {};

const sheets = {
  name: "sheets",
  setup(hooks) {
    hooks.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

async function bundle(entry, options) {
  const made = await build({
    entryPoints: [`src/${entry}.ts`],
    bundle: true,
    minify: true,
    charset: "utf8",
    target: "es2022",
    banner: { js: `/* otp.js ${version}, MIT licence */` },
    define: { VERSION: JSON.stringify(version) },
    plugins: [sheets],
    write: false,
    ...options,
  });
  return made.outputFiles[0].contents;
}

async function write(name, contents) {
  await writeFile(`${folder}/${name}`, contents);
  hashes[name] = `sha384-${createHash("sha384").update(contents).digest("base64")}`;
}

await mkdir(folder, { recursive: true });
await write("otp.js", await bundle("classic", { format: "iife", globalName: "Otp" }));
await write("otp.mjs", await bundle("module", { format: "esm" }));
if (served) {
  for (const name of (await readdir("languages")).sort()) {
    await write(name, JSON.stringify(JSON.parse(await readFile(`languages/${name}`, "utf8"))));
  }
  await writeFile(`${folder}/integrity.json`, `${JSON.stringify(hashes, null, 2)}\n`);
} else {
  await write("client.mjs", await bundle("client", { format: "esm" }));
}
