// Links to studies open in place; buttons copy; Enter runs a form; the address follows what is shown.
document.addEventListener("click", event => {
  const study = event.target.closest("a[data-study]");
  if (study && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    document.getElementById("study-page").dataset.fresh = "yes";
    Shiny.setInputValue("evidence-open", study.dataset.study, { priority: "event" });
  }
  const copy = event.target.closest("button[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent)
      .then(() => { copy.textContent = "Copied"; setTimeout(() => { copy.textContent = "Copy"; }, 1500); });
  }
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
  if (head && !page.querySelector(".recalculating") && page.offsetParent) {
    delete page.dataset.fresh;
    head.focus({ preventScroll: true });
    head.scrollIntoView({ block: "nearest" });
  }
  if (link && link.dataset.address !== location.search) history.replaceState(null, "", link.dataset.address);
}).observe(document.documentElement, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "data-address"] });
