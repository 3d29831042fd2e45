import assert from "node:assert/strict";
import test from "node:test";
import { CgroupMetrics } from "../../src/telemetry/cgroup-metrics.ts";
import { Cgroup, hostMemoryBytes } from "../../src/telemetry/cgroup.ts";

const files = (content: Readonly<Record<string, string>>) => (path: string) => content[path];

test("version 2: the tightest limit of the group and those above it", () => {
  const cgroup = new Cgroup(
    files({
      "/proc/self/cgroup": "0::/kubepods/pod1/c1\n",
      "/sys/fs/cgroup/kubepods/pod1/c1/memory.max": "max\n",
      "/sys/fs/cgroup/kubepods/pod1/memory.max": "536870912\n",
      "/sys/fs/cgroup/kubepods/memory.max": "8589934592\n",
      "/sys/fs/cgroup/kubepods/pod1/c1/cpu.max": "150000 100000\n",
      "/sys/fs/cgroup/kubepods/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/kubepods/pod1/c1/cpu.stat":
        "usage_usec 5\nnr_periods 100\nnr_throttled 7\nthrottled_usec 2500000\nnr_bursts 0\n",
    }),
  );
  assert.equal(cgroup.memoryLimitBytes(), 512 * 1024 ** 2);
  assert.equal(cgroup.cpuLimitCores(), 1.5);
  assert.deepEqual(cgroup.throttling(), { periods: 100, throttledPeriods: 7, throttledSeconds: 2.5 });
});

test("version 2 in a namespace of its own: the group is the root", () => {
  const cgroup = new Cgroup(files({ "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "268435456\n" }));
  assert.equal(cgroup.memoryLimitBytes(), 256 * 1024 ** 2);
  assert.equal(cgroup.cpuLimitCores(), Infinity);
  assert.equal(cgroup.throttling(), undefined);
});

test("version 1: controllers of their own, a path that the container cannot see, and a limit that is none", () => {
  const cgroup = new Cgroup(
    files({
      "/proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 1500000000\n",
    }),
  );
  assert.equal(cgroup.memoryLimitBytes(), 1024 ** 3);
  assert.equal(cgroup.cpuLimitCores(), 2);
  assert.deepEqual(cgroup.throttling(), { periods: 9, throttledPeriods: 2, throttledSeconds: 1.5 });
  const unlimited = new Cgroup(
    files({
      "/proc/self/cgroup": "4:memory:/\n1:cpu:/\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }),
  );
  assert.equal(unlimited.memoryLimitBytes(), Infinity);
  assert.equal(unlimited.cpuLimitCores(), Infinity);
});

test("a system without control groups has no limits and no metrics of them", () => {
  const cgroup = new Cgroup(() => undefined);
  assert.equal(cgroup.memoryLimitBytes(), Infinity);
  assert.equal(cgroup.throttling(), undefined);
  assert.ok(new CgroupMetrics(cgroup).snapshot().every(({ series }) => series.length === 0));
  assert.equal(
    hostMemoryBytes(() => undefined),
    Infinity,
  );
});

test("a limit that is changed is a metric that changes, and one that is lifted is none any more", () => {
  const content: Record<string, string> = { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "4096\n" };
  const metrics = new CgroupMetrics(new Cgroup(files(content)));
  const limit = () => metrics.snapshot().find(({ name }) => name === "sluice_cgroup_memory_limit_bytes")!.series;
  assert.deepEqual(limit(), [[[], 4096]]);
  content["/sys/fs/cgroup/memory.max"] = "8192\n";
  assert.deepEqual(limit(), [[[], 8192]]);
  content["/sys/fs/cgroup/memory.max"] = "max\n";
  assert.deepEqual(limit(), []);
});

test("the host's memory is read in bytes", () => {
  const meminfo = "MemTotal:       24684844 kB\nMemFree:        1000 kB\n";
  assert.equal(hostMemoryBytes(files({ "/proc/meminfo": meminfo })), 24_684_844 * 1024);
});

test("the memory that the group takes is a metric, in both versions", () => {
  const of = (content: Record<string, string>) => new Cgroup(files(content)).memoryBytes();
  assert.equal(of({ "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.current": "4096\n" }), 4_096);
  assert.equal(of({ "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/memory.current": "8192\n" }), 8_192);
  const v1 = { "/proc/self/cgroup": "4:memory:/b\n", "/sys/fs/cgroup/memory/b/memory.usage_in_bytes": "12288\n" };
  assert.equal(of(v1), 12_288);
  assert.equal(of({}), undefined);
});
