// A page in a frame says how high it is.
const frames = () => [...document.querySelectorAll("iframe.page")];
window.addEventListener("message", event => {
  const one = frames().find(frame => frame.contentWindow === event.source);
  if (one && event.data?.height > 0) one.style.height = `${Math.ceil(event.data.height)}px`;
});

// Names that the theme leaves out, for those who hear the page.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".search-button-field")) button.removeAttribute("aria-label");      // it says "Search" itself
  for (const summary of document.querySelectorAll("li > details > summary")) {
    const link = summary.closest("li").querySelector("a");
    summary.setAttribute("aria-label", `Pages of ${link.textContent.trim()}`);
  }
  const side = document.querySelector(".bd-sidebar-primary");
  side?.setAttribute("role", "region");
  side?.setAttribute("aria-label", "Contents of the site");
});
