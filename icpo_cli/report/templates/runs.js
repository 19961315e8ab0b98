// The list of runs, and one of them: configuration, facts, metrics, responses.

const RUNS_A_STEP = 50;
const CURVE = { width: 160, height: 28, space: 2 };

const { common, runs } = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(runs.map((run) => [run.id, run]));

function runLink(run) {
  return make("a", { href: `#run/${run.id}` }, make("bdi", {}, run.name || run.id));
}

function listRuns() {
  const own = { kind: (run) => run.kind, status: (run) => run.status };
  const parts = {
    form: filters("Runs", "name, model, method, id", [
      ["Kind", "kind", runs.map(own.kind)],
      ["Status", "status", runs.map(own.status)],
    ]),
    count: make("p", { class: "count", role: "status" }),
    list: document.querySelector("#run-table tbody"),
    more: make("button", { type: "button" }, "More runs"),
    step: RUNS_A_STEP,
  };
  const table = document.getElementById("run-table");
  table.before(parts.form, parts.count);
  table.after(parts.more);
  table.hidden = false;
  const texts = runs.map((run) => [run.name, run.model, run.method, run.id].join("\n").toLowerCase());
  const show = (run) =>
    row([runLink(run), run.kind, run.model, run.method, run.accuracy, run.status.toLowerCase(), run.started]);
  filteredList(parts, runs, texts, own, "runs", show);
}

/** As wide as its steps go, as high as its values. */
function curve([steps, values], label) {
  const { width, height, space } = CURVE;
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
  line.setAttribute("points", points.join(" "));
  for (const [name, value] of Object.entries({ width, height, role: "img", "aria-label": label, class: "curve" }))
    svg.setAttribute(name, value);
  svg.append(line);
  return svg;
}

function metricTable(run) {
  const rows = Object.entries(run.metrics).map(([name, value]) => {
    const points = run.curves[name];
    if (!points) return row([name, number(value), "", "", ""]);
    const [least, greatest] = [Math.min(...points[1]), Math.max(...points[1])].map(number);
    return row([name, number(value), curve(points, `${name}, from ${least} to ${greatest}`), least, greatest]);
  });
  return wideTable("Metrics", ["metric", "last", "curve", "least", "greatest"], rows);
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
  const note = make("p", { class: "note" }, "Marked: what most runs of this report have otherwise or not at all.");
  return make("div", {}, note, table);
}

function duration(seconds) {
  if (seconds === null) return "";
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function openRun(run) {
  const title = make("h2", { tabindex: -1 }, make("bdi", {}, run.name || run.id));
  const near = runs.filter((other) => other.id === run.parent || other.parent === run.id);
  const facts = factList([
    ["id", run.id],
    ["kind", run.kind],
    ["model", run.model],
    ["method", run.method],
    ["accuracy", run.accuracy],
    ["status", run.status.toLowerCase()],
    ["started", run.started],
    ["took", duration(run.seconds)],
    ...near.map((other) => [other.id === run.parent ? `part of ${other.kind}` : `its ${other.kind}`, runLink(other)]),
  ]);
  const block = (name, content) => folded("block", make("summary", {}, name), content);
  document.getElementById("run").replaceChildren(
    make("p", {}, make("a", { href: "#runs" }, "← all runs")),
    title,
    facts,
    block("Configuration", () => pairTable(common.config, run.config)),
    block("Data, code and packages", () => pairTable(common.facts, run.facts)),
    block("Metrics", () => metricTable(run)),
    responseSection(run),
  );
  title.focus();
}

/** #run/ID shows that run, anything else the overview. */
function route() {
  const run = byId.get(location.hash.replace("#run/", ""));
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
