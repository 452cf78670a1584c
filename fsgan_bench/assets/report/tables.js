// Tables that are sorted by a press on a heading; hidden methods are hidden here too.

function drawTables() {
  const list = task().tables;
  fill(byId("table-list"), list.length ? list.map(scoreTable) : make("p", {}, "There are tables once a cell is finished."));
}

function scoreTable(table, number) {
  const body = make("tbody");
  const heads = [];
  const sort = { column: -2, up: true };
  const place = () => {
    // Reference lines and rows from the literature stay below the methods.
    const kinds = ["method", "literature", "reference"];
    const rows = [...table.rows];
    if (sort.column >= 0) rows.sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || compareCells(a, b, table, sort));
    fill(body, rows.map((row, i) => tableRow(table, row, sort.column < 0 ? rows[i - 1] : undefined)));
    heads.forEach((head, i) => {
      head.setAttribute("aria-sort", i - 1 !== sort.column ? "none" : sort.up ? "ascending" : "descending");
    });
  };
  const press = (column) => () => {
    const words = column >= 0 && !table.columns[column].words;
    sort.up = sort.column === column ? !sort.up : !words;
    sort.column = column;
    place();
  };
  table.columns.forEach((column, i) => {
    heads.push(make("th", { scope: "col", "aria-sort": "none", class: column.words ? "words" : "" },
      make("button", { type: "button", on: { click: press(i) } }, column.heading)));
  });
  const first = make("th", { scope: "col", class: "words" }, table.head);
  heads.unshift(first);
  place();
  const content = [
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": table.title },
      make("table", {}, make("caption", {}, table.title), make("thead", {}, make("tr", {}, heads)), body)),
    make("ul", { class: "notes" }, table.notes.map((note) => make("li", {}, note))),
  ];
  if (number === 0) return make("div", { class: "table" }, content);
  return make("details", { class: "table" }, make("summary", {}, table.title), content);
}

function compareCells(a, b, table, sort) {
  const [one, other] = [a.cells[sort.column], b.cells[sort.column]];
  const sign = sort.up ? 1 : -1;
  if (table.columns[sort.column].words) return sign * one.text.localeCompare(other.text);
  if (one.value === null || other.value === null) return (one.value === null) - (other.value === null);
  return sign * (one.value - other.value);
}

function tableRow(table, row, before) {
  const repeated = before && before.label === row.label && before.kind === row.kind;
  const variant = row.kind === "method" ? task().variants.find((each) => each.label === row.label) : undefined;
  const cells = row.cells.map((cell, i) => {
    const classes = [table.columns[i].words ? "words" : "", cell.best ? "best" : ""].join(" ").trim();
    return make("td", { class: classes }, cell.text);
  });
  return make("tr", { class: row.kind, hidden: Boolean(variant && state.hidden.has(variant.label)) },
    make("th", { scope: "row" }, variant && !repeated ? swatch(variant.look, false) : null, repeated ? "" : row.label + row.mark),
    cells);
}
