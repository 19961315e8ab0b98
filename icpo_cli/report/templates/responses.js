// A run's responses: found by text, verdict and place; each with the group that its advantage is from.

const RESPONSES_A_STEP = 25;
const BEGINNING = 160;
const VERDICTS = {
  correct: "✓ correct",
  wrong: "✗ wrong",
  no_answer: "– no answer",
  timeout: "? timeout",
  error: "! error",
  no_gold: "· no gold",
};
const UNGRADED = "not graded";
const SEARCHED = ["text", "question", "gold", "extracted", "prompt_id"];
const DERIVATION = [
  ["confidence", "confidence"],
  ["reward_verif", "reward"],
  ["preference_score", "preference score"],
  ["bonus", "bonus"],
  ["reward_final", "final reward"],
  ["advantage", "advantage"],
  ["grpo_advantage", "GRPO's advantage"],
];

function verdictOf(response) {
  return VERDICTS[response.verdict] ?? UNGRADED;
}

function groupOf(response) {
  return `${response.where}\n${response.prompt_id}`;
}

/** From confidence to advantage, for all responses of the group; empty where nothing but verdicts is known. */
function derivation(response, group) {
  const known = DERIVATION.filter(([name]) => group.some((other) => name in other));
  if (!known.length) return "";
  const ordered = [...group].sort((one, other) => one.confidence - other.confidence);
  const rows = ordered.map((other) => {
    const numbers = known.map(([name]) => fixed(other[name]));
    const line = row([String(other.response), verdictOf(other), ...numbers]);
    if (other === response) line.className = "chosen";
    return line;
  });
  const title = make("h4", {}, `The group of ${group.length}, by rising confidence`);
  return make("div", {}, title, wideTable("Group", ["response", "verdict", ...known.map(([, its]) => its)], rows));
}

function openResponse(response, group) {
  const texts = [["Prompt", response.question], ["Response", response.text ?? ""]]
    .filter(([, text]) => text !== undefined)
    .flatMap(([title, text]) => [make("h4", {}, title), make("pre", { tabindex: 0, dir: "auto" }, text)]);
  const facts = factList([
    ["right answer", response.gold],
    ["extracted", response.extracted],
    ["rule", response.rule],
    ["reason", response.reason],
    ["reward of answer", number(response.reward_answer)],
    ["reward of format", number(response.reward_format)],
    ["noise", response.reward_noise ? number(response.reward_noise) : ""],
    ["preference score", response.preference_capped ? "capped" : ""],
    ["entropy", number(response.entropy_mean)],
    ["ended", response.finish_reason],
  ]);
  return make("div", { class: "opened" }, ...texts, facts, derivation(response, group));
}

function responseItem(response, group) {
  const numbers = ["confidence", "advantage"].filter((name) => name in response);
  const summary = make(
    "summary",
    {},
    make("span", { class: response.verdict ?? "" }, verdictOf(response)),
    make("bdi", {}, `${response.where} · ${response.prompt_id} · ${response.response}`),
    make("span", {}, numbers.map((name) => `${name} ${fixed(response[name])}`).join(", ")),
    make("bdi", { class: "begins" }, (response.text ?? "").slice(0, BEGINNING)),
  );
  return folded("answer", summary, () => openResponse(response, group));
}

function responseSection(run) {
  const section = make("section", { "aria-label": "Responses" }, make("h3", {}, "Responses"));
  const none = "None are in this page: the run has none stored, or there was no room for them.";
  if (run.note || !run.responses.length) section.append(make("p", { class: "note" }, run.note || none));
  if (!run.responses.length) return section;

  const groups = new Map();
  for (const response of run.responses) {
    const key = groupOf(response);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(response);
  }
  const own = { verdict: (response) => response.verdict ?? UNGRADED, where: (response) => response.where };
  const parts = {
    form: filters("Responses", "prompt, response, answer", [
      ["Verdict", "verdict", run.responses.map(own.verdict)],
      ["From", "where", run.responses.map(own.where)],
    ]),
    count: make("p", { class: "count", role: "status" }),
    list: make("div", { id: "responses" }),
    more: make("button", { type: "button" }, "More responses"),
    step: RESPONSES_A_STEP,
  };
  section.append(parts.form, parts.count, parts.list, parts.more);
  const texts = run.responses.map((response) => SEARCHED.map((name) => response[name] ?? "").join("\n").toLowerCase());
  const show = (response) => responseItem(response, groups.get(groupOf(response)));
  filteredList(parts, run.responses, texts, own, "responses", show);
  return section;
}
