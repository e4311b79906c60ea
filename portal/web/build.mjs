// Builds dist/: strict TypeScript to ES modules, without a bundler, so that what runs in the browser can be read there;
// beside them the style sheets, and OpenPGP.js and OPAQUE as their makers published them (pinned by hash; LGPL and MIT).
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
const compiler = join(here, 'node_modules', 'typescript', 'bin', 'tsc');
const compiled = spawnSync(process.execPath, [compiler, '--project', here], { stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
cpSync(join(here, 'static'), dist, { recursive: true });
cpSync(join(here, 'node_modules', 'openpgp', 'dist', 'openpgp.min.js'), join(dist, 'openpgp.min.js'));
const opaque = join(here, 'node_modules', '@serenity-kit', 'opaque');
cpSync(join(opaque, 'esm', 'index.js'), join(dist, 'serenity-opaque.js'));
cpSync(join(opaque, 'LICENSE'), join(dist, 'serenity-opaque-license.txt'));
