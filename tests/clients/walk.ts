// The first things that a client does, by the types that openapi-typescript made: node walk.js URL KEY NODE
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, key, node] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });
const steps = [{ name: "one", container: { image: "debian:12", commands: ["echo hello"] } }];
const body: components["schemas"]["RunCreate"] = { spec: { name: "walk", steps }, node };

const nodes = await client.GET("/api/v1/nodes", { params: { query: { status: "online", limit: 10 } } });
const ids: string[] | undefined = nodes.data?.items.map((item) => item.id);

const checked = await client.POST("/api/v1/pipelines/validate", { body });
const wrong = await client.POST("/api/v1/pipelines/validate", { body: { spec: { name: "walk", steps: [] } } });

const made = await client.POST("/api/v1/runs", { body });
if (made.error) throw new Error(made.error.detail);
if (!("state" in made.data)) throw new Error("a run was asked for, and a plan came");

const run = await client.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: made.data.id } } });
const missing = await client.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: "none" } } });
// @ts-expect-error: a run has no such field, and the types say so
run.data?.colour;

console.log(
  JSON.stringify({
    nodes: ids,
    valid: checked.data?.valid,
    problem: wrong.data?.problems[0]?.path,
    run: run.data?.id === made.data.id,
    steps: run.data?.steps.map((step) => step.name),
    missing: missing.error?.code,
  }),
);
