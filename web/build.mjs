// Builds web/dist, or the folder named: the page as the server has it in its binary. The same sources and lock file give
// the same bytes.
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, 'dist');
const kMostScriptBytes = 300_000; // compressed

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
    absWorkingDir: here,
    entryPoints: { app: 'src/main.tsx' },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none', // licenses.txt has them
    outdir: out,
    logLevel: 'warning',
});
cpSync(join(here, 'src/icon.svg'), join(out, 'icon.svg'));

// What is asked for by its digest may be kept for ever.
const read = (name) => readFileSync(join(out, name));
const digest = (name) => createHash('sha256').update(read(name)).digest('hex').slice(0, 16);
const html = readFileSync(join(here, 'src/index.html'), 'utf8')
    .replace(/page\/([a-z.]+)\?v/g, (_, name) => `page/${name}?${digest(name)}`);
writeFileSync(join(out, 'index.html'), html);

const bundled = ['@preact/signals', '@preact/signals-core', 'marked', 'preact', 'uplot'];
const licenses = bundled.map((name) => {
    const folder = join(here, 'node_modules', name);
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt'].find((one) => {
        try { return readFileSync(join(folder, one)); } catch { return false; }
    });
    if (!file) throw new Error(`${name} has no licence file`);
    return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
});
writeFileSync(join(out, 'licenses.txt'), licenses.join('\n----\n\n'));

const compressed = gzipSync(read('app.js'), { level: 9 }).length;
console.log(`app.js: ${read('app.js').length} bytes, ${compressed} compressed`);
if (compressed > kMostScriptBytes) {
    console.error(`The script is over ${kMostScriptBytes} bytes.`);
    process.exit(1);
}
