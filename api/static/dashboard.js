// The dashboard: draws its tables as charts, asks about one customer, and sends the token if the
// server requires one. Without this file the page lacks only the charts and the questions.

import { drawSegments, drawSilence, redraw } from "./charts.js";
import { ask } from "./customer.js";
import { headers, remember } from "./token.js";

function enhance() {
  drawSegments();
  const form = document.getElementById("ask");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form, drawSilence);
  });
}

/** Replace the token form by the dashboard; return whether the server accepted the token. */
async function open() {
  const answer = await fetch("/", { headers: { ...headers(), Accept: "text/html" } });
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  document.getElementById("main").replaceWith(page.getElementById("main"));
  enhance();
  document.getElementById("main").focus();
  return true;
}

async function unlock(form) {
  const error = document.getElementById("token-error");
  error.textContent = "";
  try {
    if (form.token.value) remember(form.token.value);
    if (await open()) return;
    error.textContent = "The server does not accept this token.";
  } catch {
    error.textContent = "The server cannot be reached, or the token is not valid text for a header.";
  }
  form.token.setAttribute("aria-invalid", "true");
  form.token.focus();
}

const form = document.getElementById("unlock");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    unlock(form);
  });
  if (headers().Authorization) unlock(form);
} else {
  enhance();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
