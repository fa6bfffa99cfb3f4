// Questions about one customer: the answer today, and its decline without further purchases.

import { percent, words } from "./charts.js";
import { headers } from "./token.js";

const POINTS = 60;
const decimals = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const hundredths = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** Ask about the form's customer; show the answer, or an error at each invalid field. */
export async function ask(form, drawSilence) {
  const button = form.querySelector("button");
  button.setAttribute("aria-busy", "true");
  clear(form);
  try {
    const { horizon_days, ...customer } = read(form);
    const today = await post({ customers: [customer], horizon_days, value: {} });
    const days = ahead(today.horizon_days);
    const later = days.map((day) => ({ ...customer, T: customer.T + day }));
    const silent = await post({ customers: later, horizon_days });
    show(form, today, days, silent.predictions, drawSilence);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    complain(form, error.message);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

class Refused extends Error {}

/** Return the fields' values; text that is no number is sent as text, for the server to check. */
function read(form) {
  const fields = {};
  for (const { name, value } of form.elements) {
    const typed = value.trim();
    if (!name || !typed) continue;
    const number = Number(typed);
    fields[name] = name !== "segment" && Number.isFinite(number) ? number : typed;
  }
  return fields;
}

async function post(batch) {
  let answer;
  try {
    answer = await fetch("/v1/predictions", {
      method: "POST",
      headers: { ...headers(), "Content-Type": "application/json" },
      body: JSON.stringify(batch),
    });
  } catch {
    throw new Refused("The server cannot be reached.");
  }
  const envelope = await answer.json();
  if (!answer.ok) throw new Refused(envelope.reason);
  return envelope.data;
}

function ahead(horizon) {
  const last = Math.max(1, Math.round(2 * horizon));
  const step = Math.max(1, last / POINTS);
  const days = [];
  for (let i = 0; i * step < last; i++) days.push(Math.round(i * step));
  return [...days, last];
}

function show(form, today, days, silent, drawSilence) {
  const [now] = today.predictions;
  const { horizon_days: horizon, level, model } = today;
  const shown = [
    ["Still alive", now.prob_alive, percent],
    [`Buys within ${decimals.format(horizon)} days`, now.prob_purchase, percent],
    [`Purchases in ${decimals.format(horizon)} days`, now.expected_purchases, hundredths.format],
    ["Spend per purchase", now.expected_spend, hundredths.format],
    ["Expected value, one year", now.expected_value, hundredths.format],
  ].filter(([, value]) => value);

  const answer = document.getElementById("answer");
  const list = element("dl", { className: "answers" });
  for (const [label, { mean, lower, upper }, write] of shown) {
    const interval = element("span", { textContent: `${write(lower)}–${write(upper)}` });
    list.append(element("div", {}, element("dt", { textContent: label }), element("dd", {}, write(mean), interval)));
  }
  const about = `Segment: ${now.segment}. Below each figure is its ${percent(level)} credible interval.`;
  answer.replaceChildren(list, element("p", { className: "hint", textContent: about }));
  if (form.dataset.blind === "true" && Number(form.frequency.value) === 0) {
    const text =
      "With BG/NBD every customer who bought once is alive: read the probability of a purchase.";
    answer.append(element("p", { className: "notice", textContent: text }));
  }
  if (model.version !== document.getElementById("version").textContent) {
    const text = "This answer is from a newer model than the rest of this page: reload the page.";
    answer.append(element("p", { className: "notice", textContent: text }));
  }

  const figure = document.getElementById("silence");
  const sentence = decline(days, silent);
  figure.hidden = false;
  document.getElementById("silence-title").textContent = sentence;
  const curves = [
    { label: "still alive", of: silent.map((each) => each.prob_alive), style: "--alive" },
    {
      label: `buys within ${decimals.format(horizon)} days after that`,
      of: silent.map((each) => each.prob_purchase),
      style: "--buys",
    },
  ];
  const body = figure.querySelector("tbody");
  body.replaceChildren(
    ...days.map((day, i) => {
      const row = element("tr", {}, element("th", { scope: "row", textContent: day }));
      for (const { of } of curves) row.append(element("td", { textContent: words(of[i]) }));
      return row;
    }),
  );
  if (window.Chart) drawSilence(figure.querySelector("canvas"), days, curves, sentence);
}

function decline(days, silent) {
  const first = silent[0].prob_alive.mean;
  const last = silent.at(-1).prob_alive.mean;
  const half = silent.findIndex(({ prob_alive }) => prob_alive.mean < 0.5);
  const until = `P(alive) is ${percent(first)} today and ${percent(last)} after ${days.at(-1)} more days without a purchase`;
  if (half <= 0) return `${until}.`;
  return `${until}; it falls below 50% after ${days[half]} days.`;
}

/** Show each part of a refusal at the field that it names, and other parts below the form. */
function complain(form, reason) {
  const rest = [];
  let first = null;
  for (const part of reason.split("; ")) {
    const [, name, rule] = part.match(/^(?:customers\[0\]\.)?(\w+) (.*)$/) ?? [];
    const field = name && form.elements[name];
    if (!field) {
      rest.push(part);
      continue;
    }
    document.getElementById(`${name}-error`).textContent = rule;
    field.setAttribute("aria-invalid", "true");
    first ??= field;
  }
  document.getElementById("ask-error").textContent = rest.join("; ");
  first?.focus();
}

function clear(form) {
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  for (const error of document.querySelectorAll("#customer .error")) error.textContent = "";
  document.getElementById("answer").replaceChildren();
  document.getElementById("silence").hidden = true;
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
