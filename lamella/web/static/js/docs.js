// The API's documentation, drawn from its own OpenAPI document: no network but this console.
import { html, render, useEffect, useState } from "./dom.js";
import { fetchJson } from "./hooks.js";

/** Last part of `#/components/schemas/line_queries_RollView`. @param {string} reference */
const nameOf = (reference) => reference.split("/").pop();
const shortName = (reference) => nameOf(reference).split("_").pop();

/** A schema in one word. @param {object | undefined} schema */
function word(schema) {
  if (!schema) return "";
  if (schema.$ref) return shortName(schema.$ref);
  const many = schema.oneOf ?? schema.anyOf;
  if (many) return many.map(word).join(" | ");
  if (schema.type === "array") return `${word(schema.items ?? schema.prefixItems?.[0])}[]`;
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type;
  return schema.format ? `${type} (${schema.format})` : (type ?? "any");
}

function Operation({ path, method, operation }) {
  const answer = Object.entries(operation.responses ?? {}).find(([status]) => status.startsWith("2"));
  const content = Object.entries(answer?.[1].content ?? {})[0];
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  return html`
    <details>
      <summary><b>${method.toUpperCase()}</b><code>${path}</code><span class="muted">${operation.description ?? operation.summary}</span></summary>
      ${(operation.parameters ?? []).length > 0 && html`
        <table>
          <thead><tr><th>Parameter</th><th>In</th><th>Type</th><th>Meaning</th></tr></thead>
          <tbody>${operation.parameters.map((row) => html`
            <tr><td><code>${row.name}</code>${row.required ? " *" : ""}</td><td>${row.in}</td><td>${word(row.schema)}</td><td>${row.description ?? row.schema?.description ?? ""}</td></tr>`)}
          </tbody>
        </table>`}
      ${body && html`<p>Body: <a href=${`#${shortName(body.$ref)}`}>${word(body)}</a></p>`}
      ${content && html`<p>Answer: <code>${content[0]}</code>${" "}${content[1].schema?.$ref ? html`<a href=${`#${shortName(content[1].schema.$ref)}`}>${word(content[1].schema)}</a>` : word(content[1].schema)}</p>`}
      <p class="muted small">A refusal is application/problem+json (RFC 9457): 404 not known, 503 nobody answered in time, 400 a parameter is wrong.</p>
    </details>`;
}

function Shape({ name, schema }) {
  const required = new Set(schema.required ?? []);
  return html`
    <details id=${name.split("_").pop()}>
      <summary><code>${name.split("_").pop()}</code><span class="muted">${schema.description ?? ""}</span></summary>
      <table>
        <tbody>${Object.entries(schema.properties ?? {}).map(([field, each]) => html`
          <tr><td><code>${field}</code>${required.has(field) ? " *" : ""}</td><td>${word(each)}</td><td>${each.description ?? ""}</td></tr>`)}
        </tbody>
      </table>
    </details>`;
}

function Docs() {
  const [schema, setSchema] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    fetchJson("/api/v1/schema").then(setSchema, (error) => setProblem(error.message));
  }, []);
  // A link to a shape opens it, since it is folded.
  useEffect(() => {
    const unfold = () => document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
    addEventListener("hashchange", unfold);
    return () => removeEventListener("hashchange", unfold);
  }, []);
  if (!schema) return html`<p class="notice">${problem || "…"}</p>`;
  const operations = Object.entries(schema.paths).flatMap(([path, methods]) =>
    Object.entries(methods).filter(([, operation]) => operation.responses).map(([method, operation]) => ({ path, method, operation })));
  const shapes = Object.entries(schema.components?.schemas ?? {}).filter(([, shape]) => shape.properties);
  return html`
    <div class="row spread"><h1>${schema.info.title} ${schema.info.version}: API</h1><span><a href="/api/v1/schema">OpenAPI ${schema.openapi}</a>${" · "}<a href="/">Console</a></span></div>
    <p>${schema.info.description}</p>
    <section aria-label="Operations" data-testid="operations">${operations.map((each) => html`<${Operation} ...${each} />`)}</section>
    <h2>Live channels</h2>
    <section class="panel">
      <p>WebSocket <code>/api/v1/ws</code>. Send <code>{"op":"sub","ch":"line"}</code>, or <code>unsub</code>. Channels: <code>line</code>, <code>events</code>, <code>rolls</code>, <code>roll:ID</code>, <code>cells</code>, <code>cell:ID</code>, <code>yield</code>.</p>
      <p>You get a <code>snapshot</code> (<code>seq</code>, <code>data</code>), then <code>delta</code> messages (<code>seq</code>, <code>prev</code>, <code>set</code>: values that changed, <code>add</code>: list items that are new or changed); a <code>prev</code> that is not your last <code>seq</code> is a hole: subscribe again. A <code>beat</code> comes every second with plant time, ages and what is stale.</p>
    </section>
    <h2>Shapes</h2>
    <section aria-label="Shapes">${shapes.map(([name, shape]) => html`<${Shape} name=${name} schema=${shape} />`)}</section>`;
}

const root = document.getElementById("docs");
root.replaceChildren();
render(html`<${Docs} />`, root);
