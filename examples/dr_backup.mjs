// Makes a DR backup of an instance, follows its events to the end, and restores it.
//
//   npm install --no-save --prefix target/example @grpc/grpc-js @grpc/proto-loader
//   cp examples/dr_backup.mjs target/example/
//   node target/example/dr_backup.mjs proto \
//       127.0.0.1:7447 source demo shop dr demo    # address, cloud, tenant, instance, cloud, tenant
import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [proto, address, source, sourceTenant, instance, target, targetTenant] = process.argv.slice(2);
const files = readdirSync(`${proto}/drbackup/v1`).map((file) => `drbackup/v1/${file}`);
const loaded = loader.loadSync(files, { includeDirs: [proto], enums: String, longs: Number, defaults: true });
const { CloudService, DRBackupService, RestorationService } = grpc.loadPackageDefinition(loaded).drbackup.v1;
const client = (Service) => new Service(address, grpc.credentials.createInsecure());
const [clouds, backups, restorations] = [CloudService, DRBackupService, RestorationService].map(client);
const call = (service, method, request) => promisify(service[method]).call(service, request);

async function follow(service, method, id) {
  for (let last = { sequence: 0 }; ; ) {
    try {
      for await (const event of service[method]({ id, fromSequence: last.sequence + 1, untilSettled: true })) {
        last = event;
        console.log(event.sequence, event.state, event.runtimeState);
      }
      if (last.state !== "STATE_OK") throw new Error(`${last.error.message} ${last.error.guidance}`);
      return;
    } catch (error) { // A stream that breaks goes on after the last event seen.
      if (error.code !== grpc.status.UNAVAILABLE) throw error;
      await setTimeout(1000);
    }
  }
}

async function tenant(cloud, name) {
  return (await call(clouds, "ListTenants", { cloud, filter: `name = "${name}"` })).tenants[0].id;
}

const from = { cloud: source, tenant: await tenant(source, sourceTenant) };
const { instances } = await call(clouds, "ListInstances", { ...from, filter: `name = "${instance}"` });

// The same request id again is the same request, so a lost answer may be asked for once more.
const wanted = { ...from, instanceId: instances[0].id, name: "example", requestId: randomUUID() };
const backup = await call(backups, "CreateDRBackup", wanted);
await follow(backups, "WatchDRBackup", backup.id);

const to = { cloud: target, tenant: await tenant(target, targetTenant) };
const asked = { ...to, drBackupId: backup.id, requestId: randomUUID() };
const { id } = await call(restorations, "CreateRestoration", asked);
await follow(restorations, "WatchRestoration", id);
console.log("server", (await call(restorations, "GetRestoration", { id })).instance.serverId);
for (const service of [clouds, backups, restorations]) service.close();
