// The page /docs in jsdom, as somebody sees it who gives a wrong key and then the right one: node page.mjs URL KEY
import { JSDOM, VirtualConsole } from "jsdom";

const [url, key] = process.argv.slice(2);
const troubles = [];
const virtualConsole = new VirtualConsole();
virtualConsole.on("jsdomError", (error) => troubles.push(error.message));
const asked = [];
const { window } = await JSDOM.fromURL(`${url}/docs`, {
  runScripts: "dangerously",
  resources: "usable",
  pretendToBeVisual: true,
  virtualConsole,
  beforeParse(window) {
    window.fetch = (target, options) => {
      asked.push(new URL(target, window.location.href).href);
      return fetch(asked.at(-1), options);
    };
    window.matchMedia ??= () => ({ matches: false, addEventListener() {}, removeEventListener() {} });
  },
});
const page = window.document;
await new Promise((resolve) => window.addEventListener("load", resolve));

// Resolves with what `look` finds, as soon as the page has it.
function seen(look) {
  return new Promise((resolve) => {
    const check = () => {
      const found = look();
      if (found) {
        observer.disconnect();
        resolve(found);
      }
    };
    const observer = new window.MutationObserver(check);
    observer.observe(page, { subtree: true, childList: true, characterData: true, attributes: true });
    check();
  });
}

function give(text) {
  page.getElementById("key").value = text;
  page.querySelector("#key-form button").click();
}

give("gk_wrong");
const trouble = await seen(() => page.getElementById("trouble").textContent);
give(key);
const tags = await seen(() => {
  const found = [...page.querySelectorAll(".opblock-tag")].map((tag) => tag.getAttribute("data-tag"));
  return found.length > 0 && page.querySelector(".authorization__btn.locked, .btn.authorize.locked") ? found : null;
});
const hidden = page.getElementById("key-form").hidden;
const kept = window.localStorage.length + window.sessionStorage.length;
console.log(JSON.stringify({ trouble, tags, hidden, kept, asked: [...new Set(asked)], troubles }));
window.close();
process.exit(0);
