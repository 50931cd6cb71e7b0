
// Shows the issues that the form asks for. Without this script the page is a list of them all.
(() => {
  const form = document.getElementById("filter");
  const told = document.getElementById("filter-told");
  const groups = [...document.querySelectorAll("[data-check]")].map((node) => ({
    node,
    head: [".check-head", ".id"].map((part) => node.querySelector(part).textContent.toLowerCase()).join(" "),
    rows: [...node.querySelectorAll("[data-issue]")].map((row) => ({ row, text: row.textContent.toLowerCase() })),
  }));
  const all = groups.reduce((sum, group) => sum + group.rows.length, 0);

  function apply() {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const of = (name) => form.elements[name].value;
    let shown = 0;
    for (const { node, head, rows } of groups) {
      const wanted =
        (!of("severity") || node.dataset.severity === of("severity")) &&
        (!of("category") || node.dataset.category === of("category"));
      let inside = 0;
      for (const { row, text } of rows) {
        row.hidden = !(
          wanted &&
          (!of("market") || row.dataset.market === of("market")) &&
          (!of("change") || row.dataset.change === of("change")) &&
          words.every((word) => text.includes(word) || head.includes(word))
        );
        inside += row.hidden ? 0 : 1;
      }
      node.hidden = rows.length ? !inside : !wanted;
      if (words.length) node.open = inside > 0;
      node.querySelector(".check-more")?.toggleAttribute("hidden", inside < rows.length);
      shown += inside;
    }
    told.textContent = `${shown === all ? "" : `${shown.toLocaleString("en")} of `}${all.toLocaleString("en")} listed`;
  }

  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
})();
