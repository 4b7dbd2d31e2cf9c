// Search, sorting and opening: comforts only. Without this script the report is complete, and every part can be opened.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const clusters = [...document.querySelectorAll(".cluster")];

  // a link to a cluster, or to the reason of a verdict, opens what it is in
  const reveal = () => {
    const part = byId(location.hash.slice(1));
    const box = part?.closest("details");
    if (box) {
      box.open = true;
      part.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  reveal();

  // headings of tables become buttons that sort; a tie keeps the order that was
  const value = (row, column) => row.cells[column]?.dataset.v ?? row.cells[column]?.textContent ?? "";
  const isNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text));
  const compare = (a, b) =>
    isNumber(a) && isNumber(b) ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
  for (const head of document.querySelectorAll(".sortable thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const body = head.closest("table").tBodies[0];
      const sorted = [...body.rows].sort((a, b) => sign * compare(value(a, head.cellIndex), value(b, head.cellIndex)));
      body.replaceChildren(...sorted);
    });
  }
  for (const hint of document.querySelectorAll(".scripted")) hint.hidden = false;

  // the table of contents shows where the reader is
  const entries = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const watch = new IntersectionObserver(
    (changes) => {
      for (const { target, isIntersecting } of changes) {
        const entry = entries.get(target.id);
        if (!isIntersecting) entry.removeAttribute("aria-current");
        else {
          entry.setAttribute("aria-current", "true");
          entry.closest("ul").scrollTo({ left: entry.offsetLeft - 32 });
        }
      }
    },
    { rootMargin: "-20% 0px -79% 0px" },
  );
  for (const id of entries.keys()) watch.observe(byId(id));

  if (!clusters.length) return;

  const say = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  let rows = null; // collected when first needed: there can be many
  const collect = () =>
    clusters.flatMap((cluster) =>
      [...cluster.querySelectorAll(".genes tbody tr, .names li")].map((row) => ({
        row,
        cluster,
        name: (row.tagName === "TR" ? row.cells[0] : row).textContent.trim().toUpperCase(),
        other: row.parentElement.classList.contains("others"),
      })),
    );
  const wasOpen = new Map(); // which details the reader had opened before searching

  const search = () => {
    const text = byId("gene").value.trim();
    const wanted = text.toUpperCase();
    rows ??= collect();
    const boxes = [...document.querySelectorAll(".cluster, .unlisted")];
    if (wanted && !wasOpen.size) boxes.forEach((box) => wasOpen.set(box, box.open));
    const hits = new Set();
    let flips = 0, others = 0;
    for (const item of rows) {
      const hit = item.name.includes(wanted);
      item.row.hidden = !hit;
      if (!wanted || !hit) continue;
      hits.add(item.cluster);
      hits.add(item.row.closest("details"));
      if (item.other) others += 1;
      else flips += 1;
    }
    for (const box of boxes) {
      box.hidden = Boolean(wanted) && !hits.has(box);
      box.open = wanted ? hits.has(box) : (wasOpen.get(box) ?? box.open);
    }
    if (!wanted) wasOpen.clear();
    const where = clusters.filter((cluster) => hits.has(cluster)).length;
    byId("found").textContent = !wanted ? ""
      : hits.size ? `“${text}”: ${say(flips, "flip")}, and ${say(others, "time")} in the list of another attack, in ${say(where, "cluster")} below.`
      : `No gene with “${text}” in its name is listed in this report.`;
  };
  let waiting;
  byId("gene").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 120);
  });
  byId("tools").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  for (const [id, open] of [["open", true], ["close", false]]) {
    byId(id).addEventListener("click", () => {
      clearTimeout(waiting);
      search(); // a search that still waits would undo what follows
      clusters.forEach((cluster) => (cluster.open = open));
    });
  }
  byId("tools").hidden = false;
})();
