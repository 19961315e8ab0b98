"use strict";
// What runs and models wrote reaches the page through textContent alone: it is text there, whatever it contains.

const RUNS_A_STEP = 50;
const RESPONSES_A_STEP = 25;
const BEGINNING = 160;
const MARKS = { correct: "✓ correct", wrong: "✗ wrong", no_answer: "– no answer", timeout: "⧖ timeout", error: "! error" };
const DERIVATION = [
  ["confidence", "confidence"],
  ["reward_verif", "reward"],
  ["preference_score", "preference score"],
  ["bonus", "bonus"],
  ["reward_final", "final reward"],
  ["advantage", "advantage"],
  ["grpo_advantage", "GRPO's advantage"],
];

const { common, runs } = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(runs.map((run) => [run.id, run]));

/** An element with attributes and children; a string becomes text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function number(value) {
  return value === undefined ? "" : String(Number(value.toPrecision(4)));
}

function row(cells, name = "td") {
  return make("tr", {}, ...cells.map((cell) => make(name, {}, cell)));
}

/** Fills `list` step by step with what `show` makes of those of `found`; a button brings the next ones. */
function inSteps(list, more, step, show) {
  let found = [];
  let shown = 0;
  function next() {
    const first = shown;
    for (const item of found.slice(shown, shown + step)) list.append(show(item));
    shown = list.children.length;
    more.hidden = shown >= found.length;
    return list.children[first];
  }
  more.addEventListener("click", () => next()?.querySelector("a, summary")?.focus());
  return (items) => {
    found = items;
    shown = 0;
    list.replaceChildren();
    next();
  };
}

/** Calls `apply` with the fields' values now and whenever they change. */
function onFilter(form, apply) {
  const changed = () => apply(Object.fromEntries(new FormData(form)));
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  changed();
}

function options(select, values) {
  for (const value of new Set(values)) select.append(make("option", { value }, value.replace("_", " ").toLowerCase()));
}

/** How many there are of how many. */
function counted(found, all, what) {
  return `${found.toLocaleString("en")} of ${all.toLocaleString("en")} ${what}`;
}

function runLink(run) {
  return make("a", { href: `#run/${run.id}` }, make("bdi", {}, run.name || run.id));
}

function listRuns() {
  const form = document.getElementById("run-filters");
  options(form.elements.kind, runs.map((run) => run.kind));
  options(form.elements.status, runs.map((run) => run.status));
  const texts = new Map(runs.map((run) => [run, [run.name, run.model, run.method, run.id].join("\n").toLowerCase()]));
  const body = document.querySelector("#run-table tbody");
  const fill = inSteps(body, document.getElementById("more-runs"), RUNS_A_STEP, (run) =>
    row([runLink(run), run.kind, run.model, run.method, run.accuracy, run.status.toLowerCase(), run.started]),
  );
  onFilter(form, ({ search, kind, status }) => {
    const wanted = search.toLowerCase();
    const found = runs.filter(
      (run) => texts.get(run).includes(wanted) && (!kind || run.kind === kind) && (!status || run.status === status),
    );
    document.getElementById("run-count").textContent = counted(found.length, runs.length, "runs");
    fill(found);
  });
}

/** A curve from its steps and values, as wide as the steps go. */
function curve([steps, values], label) {
  const [width, height, space] = [160, 28, 2];
  const low = Math.min(...values);
  const spread = Math.max(...values) - low;
  const across = steps[steps.length - 1] - steps[0];
  const points = values.map((value, place) => {
    const x = space + ((steps[place] - steps[0]) / across) * (width - 2 * space);
    const y = spread ? height - space - ((value - low) / spread) * (height - 2 * space) : height / 2;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  for (const [key, value] of Object.entries({ width, height, role: "img", "aria-label": label, class: "curve" }))
    svg.setAttribute(key, value);
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}

function metricTable(run) {
  const head = row(["metric", "last", "curve", "least", "greatest"], "th");
  const rows = Object.entries(run.metrics).map(([name, value]) => {
    const points = run.curves[name];
    if (!points) return row([name, number(value)]);
    const [least, greatest] = [Math.min(...points[1]), Math.max(...points[1])];
    return row([name, number(value), curve(points, `${name} from ${number(least)} to ${number(greatest)}`), number(least), number(greatest)]);
  });
  return make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Metrics" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

/** Names and values; those that most runs have otherwise are marked. */
function pairTable(most, own) {
  const values = { ...most, ...own };
  const table = make("table", { class: "pairs" });
  for (const name of Object.keys(values).sort()) {
    if (values[name] === null) continue;
    const line = make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, values[name]));
    if (name in own) line.className = "own";
    table.append(line);
  }
  return table;
}

/** A <details> whose content is made when it is first opened. */
function folded(attributes, summary, content) {
  const details = make("details", attributes, summary);
  details.addEventListener("toggle", () => details.children.length > 1 || details.append(content()));
  return details;
}

function derivation(response, group) {
  const known = DERIVATION.filter(([name]) => group.some((other) => name in other));
  if (!known.length) return "";
  const head = row(["response", "verdict", ...known.map(([, title]) => title)], "th");
  const ordered = [...group].sort((one, other) => one.confidence - other.confidence);
  const rows = ordered.map((other) => {
    const line = row([String(other.response), MARKS[other.verdict] ?? "", ...known.map(([name]) => number(other[name]))]);
    if (other === response) line.className = "chosen";
    return line;
  });
  const title = make("h4", {}, `The group of ${group.length}, by rising confidence`);
  return make("div", {}, title, make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Group" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
}

function openResponse(response, group) {
  const parts = [
    ["Prompt", response.question],
    ["Response", response.text ?? ""],
  ].filter(([, text]) => text !== undefined);
  const facts = {
    "right answer": response.gold,
    extracted: response.extracted,
    rule: response.rule,
    reason: response.reason,
    "reward of answer": number(response.reward_answer),
    "of format": number(response.reward_format),
    noise: number(response.reward_noise),
    "preference score": response.preference_capped ? "capped" : "",
    entropy: number(response.entropy_mean),
    ended: response.finish_reason,
  };
  const list = make("dl", { class: "facts" });
  for (const [name, value] of Object.entries(facts))
    if (value) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, value))));
  const texts = parts.flatMap(([title, text]) => [make("h4", {}, title), make("pre", { tabindex: 0, dir: "auto" }, text)]);
  return make("div", { class: "opened" }, ...texts, list, derivation(response, group));
}

function responseItem(response, group) {
  const text = (response.text ?? "").slice(0, BEGINNING);
  const place = `${response.where} · ${response.prompt_id} · ${response.response}`;
  const numbers = [["confidence", "confidence"], ["advantage", "advantage"]]
    .filter(([name]) => name in response)
    .map(([name, title]) => `${title} ${number(response[name])}`);
  const summary = make(
    "summary",
    {},
    make("span", { class: response.verdict ?? "" }, MARKS[response.verdict] ?? "not graded"),
    make("bdi", {}, place),
    make("span", {}, numbers.join(", ")),
    make("bdi", { class: "begins" }, text),
  );
  return folded({ class: "answer" }, summary, () => openResponse(response, group));
}

function responseSection(run) {
  const section = make("section", {}, make("h3", {}, "Responses"));
  if (!run.responses.length) {
    section.append(make("p", { class: "note" }, run.note || "None are in this page: the run has none stored, or there was no room for them."));
    return section;
  }
  const search = make("input", { type: "search", name: "search", autocomplete: "off", placeholder: "prompt, response, answer" });
  const verdict = make("select", { name: "verdict" }, make("option", { value: "" }, "all"));
  const where = make("select", { name: "where" }, make("option", { value: "" }, "all"));
  options(verdict, run.responses.map((response) => response.verdict ?? "not graded"));
  options(where, run.responses.map((response) => response.where));
  const form = make("form", { class: "filters", role: "search", "aria-label": "Responses" });
  for (const [title, field] of [["Search", search], ["Verdict", verdict], ["From", where]]) form.append(make("label", {}, `${title} `, field));
  const count = make("p", { class: "count", role: "status" });
  const list = make("div", { id: "responses" });
  const more = make("button", { type: "button" }, "More responses");
  section.append(form, count, list, more);

  const groups = new Map();
  for (const response of run.responses) {
    const key = groupOf(response);
    groups.set(key, [...(groups.get(key) ?? []), response]);
  }
  const fill = inSteps(list, more, RESPONSES_A_STEP, (response) => responseItem(response, groups.get(groupOf(response))));
  const texts = run.responses.map((response) => ["text", "question", "gold", "extracted", "prompt_id"].map((name) => response[name] ?? "").join("\n").toLowerCase());
  onFilter(form, (wanted) => {
    const text = wanted.search.toLowerCase();
    const found = run.responses.filter(
      (response, place) =>
        texts[place].includes(text) &&
        (!wanted.verdict || (response.verdict ?? "not graded") === wanted.verdict) &&
        (!wanted.where || response.where === wanted.where),
    );
    count.textContent = counted(found.length, run.responses.length, "responses") + (run.note ? ` (of what is stored: ${run.note})` : "");
    fill(found);
  });
  return section;
}

function groupOf(response) {
  return `${response.where}\n${response.prompt_id}`;
}

function duration(seconds) {
  if (seconds === null) return "";
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function openRun(run) {
  const title = make("h2", { tabindex: -1 }, make("bdi", {}, run.name || run.id));
  const facts = { id: run.id, kind: run.kind, model: run.model, method: run.method, accuracy: run.accuracy, status: run.status.toLowerCase(), started: run.started, took: duration(run.seconds) };
  const list = make("dl", { class: "facts" });
  for (const [name, value] of Object.entries(facts)) if (value) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, value))));
  const near = [...(byId.has(run.parent) ? [byId.get(run.parent)] : []), ...runs.filter((other) => other.parent === run.id)];
  for (const other of near) list.append(make("div", {}, make("dt", {}, other.id === run.parent ? "under" : `above: ${other.kind}`), make("dd", {}, runLink(other))));
  const block = (name, content) => folded({ class: "block" }, make("summary", {}, name), content);
  const article = document.getElementById("run");
  article.replaceChildren(
    make("p", {}, make("a", { href: "#runs" }, "← all runs")),
    title,
    list,
    block("Configuration", () => pairTable(common.config, run.config)),
    block("Data, code and packages", () => pairTable(common.facts, run.facts)),
    block("Metrics", () => metricTable(run)),
    responseSection(run),
  );
  title.focus();
}

/** #run/ID shows that run, anything else the overview. */
function route() {
  const [, id] = /^#run\/(.+)$/.exec(location.hash) ?? [];
  const run = byId.get(id);
  document.getElementById("overview").hidden = Boolean(run);
  document.getElementById("run").hidden = !run;
  document.title = run ? `${run.name || run.id} · icpo report` : "icpo report";
  if (run) {
    scrollTo(0, 0);
    openRun(run);
  } else if (location.hash) {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }
}

listRuns();
addEventListener("hashchange", route);
route();
