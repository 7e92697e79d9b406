"use strict";
const pairs = [...document.querySelectorAll(".pair")];
const filter = document.getElementById("filter");
const shown = () => pairs.filter((pair) => !pair.hidden);
const note = (pair) => pair.querySelector(".note input");
const chosen = (pair) => pair.querySelector("input[type=radio]:checked");

// Decisions outlive the tab where the browser keeps something for a file; where it does not, they are in the page.
const remember = () => {
  const made = pairs.filter((pair) => chosen(pair) || note(pair).value)
    .map((pair) => [pair.id, chosen(pair)?.value ?? "", note(pair).value]);
  try { localStorage.setItem(KEY, JSON.stringify(made)); } catch { /* not kept */ }
};
const recall = () => {
  let made = [];
  try { made = JSON.parse(localStorage.getItem(KEY) ?? "[]"); } catch { /* nothing kept */ }
  for (const [id, decision, text] of made) {
    const pair = document.getElementById(id);
    if (!pair) continue;
    const button = [...pair.querySelectorAll("input[type=radio]")].find((each) => each.value === decision);
    if (button) button.checked = true;
    note(pair).value = text;
    pair.dataset.decision = decision;
  }
};
const count = () => {
  const decided = pairs.filter(chosen).length;
  document.getElementById("count").textContent = `${shown().length} shown, ${decided} of ${pairs.length} decided`;
  document.getElementById("none").hidden = shown().length > 0;
};
const apply = () => {
  const kind = filter.value;
  for (const pair of pairs) {
    const { verdict, warned } = pair.dataset;
    pair.hidden = !(kind === "all" || kind === verdict || (kind === "open" && !chosen(pair)) || (kind === "warned" && warned === "True"));
  }
  count();
};
const decide = (pair, decision) => {
  for (const button of pair.querySelectorAll("input[type=radio]")) button.checked = button.value === decision;
  pair.dataset.decision = decision;
  remember();
  count();
};
const current = () => document.activeElement.closest?.(".pair");
const move = (by) => {
  const all = shown();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
};

document.addEventListener("change", (event) => {
  const pair = event.target.closest(".pair");
  if (pair && event.target.type === "radio") decide(pair, event.target.value);
  if (event.target === filter) apply();
});
document.addEventListener("input", (event) => { if (event.target.closest(".note")) remember(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const pair = current();
  if (event.target.matches("input[type=text]")) {
    if (event.key === "Escape" && pair) pair.focus();
    return;
  }
  if (event.target.matches("select, button, summary, a")) return;
  const decision = { a: "accept", r: "reject", d: "defer" }[event.key];
  if (event.key === "j" || event.key === "ArrowDown") move(1);
  else if (event.key === "k" || event.key === "ArrowUp") move(-1);
  else if (event.key === "n" && pair) note(pair).focus();
  else if (decision && pair) { decide(pair, decision); move(1); } else return;
  event.preventDefault();
});
const cell = (text) => `"${String(text).replaceAll('"', '""')}"`;
document.getElementById("export").addEventListener("click", () => {
  const rows = pairs.filter(chosen).map((pair) => [
    pair.dataset.source, pair.dataset.target, pair.dataset.similarity, chosen(pair).value, note(pair).value,
  ]);
  const lines = [["source", "target", "similarity", "decision", "note"], ...rows].map((row) => row.map(cell).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
recall();
apply();
