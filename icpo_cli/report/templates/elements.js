"use strict";
// What runs and models wrote reaches the page through textContent alone: it is text there, whatever it contains.

/** An element with attributes and children; a string becomes text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function row(cells, name = "td") {
  return make("tr", {}, ...cells.map((cell) => make(name, {}, cell)));
}

/** A table in a box of its own that scrolls sideways. */
function wideTable(label, titles, rows) {
  const table = make("table", {}, make("thead", {}, row(titles, "th")), make("tbody", {}, ...rows));
  return make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": label }, table);
}

/** A list of names and values, each in a direction of its own; empty values are left out. */
function factList(facts) {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of facts)
    if (value) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, value))));
  return list;
}

/** A <details> whose content is made when it is first opened. */
function folded(kind, summary, content) {
  const details = make("details", { class: kind }, summary);
  details.addEventListener("toggle", () => details.children.length > 1 || details.append(content()));
  return details;
}

/** To four figures. */
function number(value) {
  return value === undefined ? "" : String(Number(value.toPrecision(4)));
}

/** With three decimals, so that columns of them line up. */
function fixed(value) {
  return value === undefined ? "" : value.toFixed(3);
}

function counted(found, all, what) {
  return `${found.toLocaleString("en")} of ${all.toLocaleString("en")} ${what}`;
}

/** A field to search and one to choose from for each of `choices`: [title, name, values]. */
function filters(label, hint, choices) {
  const search = make("input", { type: "search", name: "search", autocomplete: "off", placeholder: hint });
  const form = make("form", { class: "filters", role: "search", "aria-label": label });
  form.append(make("label", {}, "Search ", search));
  for (const [title, name, values] of choices) {
    const select = make("select", { name }, make("option", { value: "" }, "all"));
    for (const value of new Set(values))
      select.append(make("option", { value }, value.replace("_", " ").toLowerCase()));
    form.append(make("label", {}, `${title} `, select));
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

/**
 * Those of `items` that the fields of `form` ask for, `step` at a time as `show` makes them; a button brings more.
 * `texts` are searched; every other field's value has to be the item's own by `own[name]`, if it is not empty.
 */
function filteredList({ form, count, list, more, step }, items, texts, own, what, show) {
  let found = [];
  function next() {
    const first = list.children.length;
    list.append(...found.slice(first, first + step).map(show));
    more.hidden = list.children.length >= found.length;
    return list.children[first];
  }
  function apply() {
    const { search, ...wanted } = Object.fromEntries(new FormData(form));
    const text = search.toLowerCase();
    const fits = (item) => Object.entries(wanted).every(([name, value]) => !value || own[name](item) === value);
    found = items.filter((item, place) => texts[place].includes(text) && fits(item));
    count.textContent = counted(found.length, items.length, what);
    list.replaceChildren();
    next();
  }
  form.addEventListener("input", apply);
  more.addEventListener("click", () => next()?.querySelector("a, summary")?.focus());
  apply();
}
