// Keys, the theme switch, clicks inside cards, and answers that came late. Nothing here talks to any server but
// this app's own.
(() => {
  const shown = (element) => element && element.offsetParent !== null && !element.disabled;
  const press = (selector) => [...document.querySelectorAll(selector)].find(shown)?.click();

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      // Gradio takes over what was typed when the field loses its focus for a moment.
      document.activeElement?.dispatchEvent(new Event("change", { bubbles: true }));
      setTimeout(() => press("button.key-go"), 50);
    } else if (event.key === "Escape") {
      press("button.key-stop");
    }
  });

  // Gradio ends its stream of answers when nothing is under way. An event sent in that very moment is answered on
  // the ended stream, and its answer would wait for the next click: press a button that opens a stream again.
  const fetched = window.fetch;
  let streams = 0, sent = false; // sent: an event, since the open stream began
  window.fetch = async (asked, options) => {
    const { pathname } = new URL(asked.url ?? asked, location.href);
    if (pathname.endsWith("/queue/data")) {
      const stream = ++streams;
      sent = false;
      (asked.signal ?? options?.signal)?.addEventListener("abort", () => {
        if (sent && stream === streams) document.querySelector("#wake")?.click();
      });
    }
    const answer = await fetched.call(window, asked, options);
    if (pathname.endsWith("/queue/join")) sent = true;
    return answer;
  };

  // Gradio tells that a slider was let go for the mouse only; a key that moved it counts as well.
  let letGo;
  document.addEventListener("keyup", (event) => {
    if (!event.target.matches("#crop-sliders input[type=range]") || event.key === "Tab") return;
    clearTimeout(letGo);
    letGo = setTimeout(() => event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true })), 350);
  });

  // How long the picture took that follows a slider: from the handle's last move until it is on the screen, and
  // only of the picture that shows all sliders as they stand now. concept_sliders.py leaves the place for it.
  let moved = 0;
  document.addEventListener("input", (event) => {
    if (event.target.matches("#sliders .dose input")) moved = performance.now();
  }, true);
  const standing = (place) => Object.entries(JSON.parse(place.dataset.at)).every(([name, position]) =>
    Number(document.getElementById(`dose-${name}`)?.querySelector("input[type=range]")?.value) === position);
  const frame = () => new Promise((next) => requestAnimationFrame(next));
  window.perfusionLiveTime = async () => {
    const since = moved;
    for (const until = performance.now() + 5000; performance.now() < until; await frame()) {
      const place = document.querySelector("#create-said .live-time");
      const picture = document.querySelector("#gallery img");
      if (!place || place.textContent || !picture?.complete) continue;
      if (!decodeURIComponent(picture.src).endsWith(`/${place.dataset.image}`)) continue;
      await frame();
      if (since && moved === since && standing(place)) {
        place.textContent = `${((performance.now() - since) / 1000).toFixed(2)} s from slider to picture`;
      }
      return;
    }
  };

  // Concept files may be dropped anywhere on the library, and one dropped beside a field never opens in place
  // of the page.
  const library = (event) => event.target.closest?.("#library-room");
  const mark = (on) => document.querySelector("#library-room")?.classList.toggle("dropping", on);
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    mark(Boolean(library(event)));
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    mark(false);
    const input = library(event)?.querySelector("input[type=file]:not([webkitdirectory])");
    if (!input || !event.dataTransfer.files.length) return;
    const dropped = new DataTransfer();
    for (const file of event.dataTransfer.files) dropped.items.add(file);
    input.files = dropped.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  const remembered = () => { try { return localStorage.getItem("perfusion-theme") || ""; } catch { return ""; } };
  const asked = new URLSearchParams(location.search).get("__theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = asked || remembered(); // empty: as the system
  const dress = () => document.body?.classList.toggle("dark", chosen ? chosen === "dark" : system.matches);
  const choose = (name) => {
    chosen = name;
    try { localStorage.setItem("perfusion-theme", name); } catch { /* private windows may forbid it */ }
    dress();
    const option = document.querySelector(`#look-choice input[value="${name}"]`);
    if (option && !option.checked) option.click();
  };
  window.perfusionTheme = { choose, chosen: () => chosen };
  system.addEventListener("change", dress);
  document.addEventListener("DOMContentLoaded", dress);
  // Gradio dresses the page once more while it mounts.
  const again = setInterval(dress, 100);
  setTimeout(() => clearInterval(again), 4000);

  document.addEventListener("click", (event) => {
    if (event.target.closest("#theme-switch")) {
      choose(document.body.classList.contains("dark") ? "light" : "dark");
    }
    const room = event.target.closest("[data-room]")?.dataset.room;
    if (room) document.querySelector(`#rooms button[role=tab][data-tab-id="${room}"]`)?.click();
  });
})();
