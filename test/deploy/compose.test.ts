// compose.yaml and what it mounts belong together. There is no Docker where tests run, so it is read, not run.

import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { DASHBOARDS } from "../../scripts/dashboards.ts";
import { read, ROOT, ruleFiles } from "./support/rules.ts";

const compose = read("compose.yaml");

/** The lines of one service. */
function service(name: string): string {
  const [, body] = new RegExp(`^  ${name}:\\n((?:(?:    .*)?\\n)+)`, "m").exec(compose) ?? [];
  assert.ok(body !== undefined, `there is a service ${name}`);
  return body;
}

/** host path by path in the container. */
function mounts(name: string): ReadonlyMap<string, string> {
  return new Map(
    Array.from(service(name).matchAll(/^ +- (\.\/\S+?):(\/\S+?)(?::ro)?$/gm), ([, from, to]) => [to!, from!]),
  );
}

test("every image has a version, and every port is on loopback", () => {
  const images = Array.from(compose.matchAll(/^ +image: (\S+)$/gm), ([, image]) => image!);
  assert.deepEqual(
    images.filter((image) => image !== "sluice" && !/^[\w/]+:v?\d+\.\d+\.\d+$/.test(image)),
    [],
  );
  const ports = Array.from(compose.matchAll(/^ +ports:\n((?: +- .*\n)+)/gm), ([, list]) =>
    list!.trim().split(/\s+- |^- /),
  );
  assert.deepEqual(
    ports.flat().filter((port) => port !== "" && !port.startsWith("127.0.0.1:")),
    [],
  );
});

test("what is mounted exists", () => {
  const sources = Array.from(compose.matchAll(/^ +- \.\/(\S+?):\//gm), ([, path]) => path!);
  assert.ok(sources.length >= 3);
  for (const source of sources) assert.ok(existsSync(join(ROOT, source)), source);
});

test("Prometheus finds its configuration, its rules and the service", () => {
  const [file] = /--config\.file=(\S+)/.exec(service("prometheus"))?.slice(1) ?? [];
  const folder = mounts("prometheus").get("/etc/prometheus");
  assert.equal(file, "/etc/prometheus/prometheus.yml");
  const config = read(join(folder!, "prometheus.yml"));
  const [, pattern] = /^rule_files:\n +- (\S+)$/m.exec(config) ?? [];
  assert.deepEqual(globSync(join(folder!, pattern!), { cwd: ROOT }).sort(), ruleFiles("rules"));
  const [, target] = /targets: \["([^"]+)"\]/.exec(config) ?? [];
  const [host, port] = target!.split(":");
  assert.ok(service(host!).includes(`127.0.0.1:${port}:${port}`), `${target} is the service's admin port`);
});

test("Grafana finds its data source and its dashboards", () => {
  const grafana = mounts("grafana");
  const provisioning = grafana.get("/etc/grafana/provisioning")!;
  const [, url] = /^ +url: (\S+)$/m.exec(read(join(provisioning, "datasources/prometheus.yml"))) ?? [];
  const { hostname, port } = new URL(url!);
  assert.ok(service(hostname).includes(`:${port}:${port}`), url);
  const [, path] = /^ +path: (\S+)$/m.exec(read(join(provisioning, "dashboards/sluice.yml"))) ?? [];
  assert.equal(join(grafana.get(path!)!), DASHBOARDS);
  const [, home] = /DEFAULT_HOME_DASHBOARD_PATH: (\S+)$/m.exec(service("grafana")) ?? [];
  assert.ok(existsSync(join(ROOT, home!.replace(path!, DASHBOARDS))), home);
});
