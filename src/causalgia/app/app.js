// Links to studies open in place; buttons copy; a file that was mended can be chosen again; Enter runs a form; the
// address follows what is shown.
document.addEventListener("click", event => {
  const study = event.target.closest("a[data-study]");
  if (study && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    document.getElementById("study-page").dataset.fresh = "yes";
    Shiny.setInputValue("evidence-open", study.dataset.study, { priority: "event" });
  }
  const copy = event.target.closest("button[data-copy]");
  if (copy) {
    const text = document.getElementById(copy.dataset.copy);
    if (navigator.clipboard) {
      navigator.clipboard.writeText(text.textContent)
        .then(() => { copy.textContent = "Copied"; setTimeout(() => { copy.textContent = "Copy"; }, 1500); });
    } else getSelection().selectAllChildren(text);
  }
  if (event.target.matches("input[type=file]")) event.target.value = "";
});
document.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !event.target.matches(".form input:not([type=file])")) return;
  const run = event.target.closest(".form").querySelector("[data-enter]");
  if (run) { event.target.blur(); run.click(); event.target.focus(); }
});
// A study that was asked for comes into view, and the keyboard goes on from there.
new MutationObserver(() => {
  const page = document.getElementById("study-page");
  const head = page && page.dataset.fresh && page.querySelector("h3");
  const link = document.getElementById("again-link");
  const row = document.querySelector(".rows li[aria-current]:not([data-met])");
  if (row && row.offsetParent) {
    const list = row.closest(".listing");
    row.dataset.met = "yes";
    if (row.offsetTop + row.offsetHeight > list.scrollTop + list.clientHeight || row.offsetTop < list.scrollTop)
      list.scrollTop = row.offsetTop - list.clientHeight / 3;
  }
  if (head && !page.querySelector(".recalculating") && page.offsetParent) {
    delete page.dataset.fresh;
    head.focus({ preventScroll: true });
    head.scrollIntoView({ block: "nearest" });
  }
  if (link && link.dataset.address !== location.search) history.replaceState(null, "", link.dataset.address);
}).observe(document.documentElement, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "data-address"] });
