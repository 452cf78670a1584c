// What the page says in words: verdict, what went wrong, cards and provenance.

function drawVerdict() {
  const verdict = page.verdict;
  if (verdict === null) return fill(byId("verdict-list"), make("p", {}, "The verdict comes when the run is finished."));
  if (verdict.why) return fill(byId("verdict-list"), make("p", {}, verdict.why));
  fill(byId("verdict-list"), verdict.sections.map((section, i) => {
    const observation = verdict.observations[i];
    const heading = observation
      ? make("h3", {}, `${observation.name} `, judgement(observation.verdict))
      : make("h3", {}, section.heading);
    const content = [
      section.paragraphs.map((text) => make("p", {}, text)),
      section.rows.length ? wordTable(section.heading, section.rows) : null,
    ].flat();
    return observation
      ? make("div", { class: "observation" }, heading, content)
      : make("details", {}, make("summary", {}, section.heading), content);
  }));
}

function judgement(text) {
  return make("span", { class: `judgement ${text.replace(" ", "-")}` }, text);
}

function wordTable(title, rows) {
  const [head, ...body] = rows;
  const judgements = ["supported", "not supported", "undecided"];
  const cell = ({ text, best }) => make("td", { class: best ? "best" : "" }, judgements.includes(text) ? judgement(text) : text);
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    make("table", { class: "prose" },
      make("thead", {}, make("tr", {}, head.map((each) => make("th", { scope: "col" }, each.text)))),
      make("tbody", {}, body.map((row) => make("tr", {}, row.map(cell))))));
}

function drawTroubles() {
  const found = task().troubles;
  const waiting = found.length ? null : make("p", {}, "Nothing: every cell of this target is finished, and none had anything to report.");
  fill(byId("trouble-list"), waiting, found.map((each) =>
    make("div", { class: `trouble ${each.status}` },
      make("h3", {}, `${each.name}: ${each.status}`),
      each.reason ? make("p", {}, each.reason) : null,
      each.said.length ? make("ul", {}, each.said.map((text) => make("li", {}, text))) : null,
      each.trace ? make("details", {}, make("summary", {}, "Traceback"), make("pre", {}, each.trace)) : null)));
}

// JSON as nested lists of terms; long lists of numbers on one line.
function outline(value) {
  if (value === null) return "–";
  if (Array.isArray(value)) return value.map((each) => (typeof each === "object" ? JSON.stringify(each) : String(each))).join(", ");
  if (typeof value === "object") {
    return make("dl", {}, Object.entries(value).map(([name, each]) => {
      const nested = each !== null && typeof each === "object" && !Array.isArray(each);
      return make("div", { class: nested ? "nested" : "" }, make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, outline(each)));
    }));
  }
  return String(value);
}

function drawCards() {
  const list = task().cards.map((card) => make("div", { class: "card" },
    make("h3", {}, card.title),
    make("dl", { class: "facts" }, Object.entries(card.facts).map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, typeof value === "number" ? show(value) : value)))),
    make("details", {}, make("summary", {}, "the whole card"), outline(card.content))));
  fill(byId("card-list"), list.length ? list : make("p", {}, "There are no cards."));
}

function drawProvenance() {
  const { hashes, made, cells } = task().provenance;
  const same = made.length === 1;
  fill(byId("provenance-list"),
    made.map(({ cells: names, content }) => {
      const { command, ...rest } = content;
      const title = same ? "All cells" : names.join("; ");
      return make("details", { open: same },
        make("summary", {}, title),
        command ? make("pre", { class: "command" }, command) : make("p", { class: "remark" }, "The command that made these cells was not recorded."),
        outline(rest));
    }),
    Object.keys(hashes).length ? make("details", {}, make("summary", {}, "Hashes of what all cells share"), outline(hashes)) : null,
    make("details", {}, make("summary", {}, `Each of the ${cells.length} cells`),
      cells.map((cell) => make("details", {},
        make("summary", {}, `${cell.name}: ${cell.status.toLowerCase()}${cell.training === null ? "" : `, ${whole(Math.round(cell.training))} s of training`}`),
        cell.paper ? make("p", {}, cell.paper) : null,
        make("p", { class: "hash" }, cell.hash),
        outline(cell.specification)))));
}
