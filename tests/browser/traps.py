"""Opens pages in a browser and says what sprang: dialogs, errors, reports, requests to elsewhere, living markup."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

LISTENING = """
window.sprung = [];
document.addEventListener("securitypolicyviolation", (event) => {
  sprung.push(["policy", `${event.violatedDirective} ${event.blockedURI}`]);
});
addEventListener("error", (event) => sprung.push(["error of a script", event.message]));
addEventListener("unhandledrejection", (event) => sprung.push(["error of a script", String(event.reason)]));
"""
LOOKING = """
const [staticFiles, settled] = [arguments[0], arguments[1]];
for (const each of document.querySelectorAll("details")) each.open = true;
const look = () => {
  const found = [...window.sprung];
  const say = (trap, node) => found.push([trap, node.outerHTML.slice(0, 300)]);
  const all = (selector) => document.querySelectorAll(selector);
  const address = (text) => new URL(text, location.href);
  for (const node of all("[planted]")) say("planted", node);
  for (const node of document.scripts) {
    if (!node.src || address(node.src).origin !== location.origin) say("script", node);
  }
  for (const node of all("*")) {
    for (const attribute of node.attributes) if (/^on/i.test(attribute.name)) say("event", node);
  }
  for (const node of all("iframe, frame, object, embed, portal")) say("frame", node);
  for (const node of all("img, image, video, audio, source, track, input[type=image]")) {
    const named = node.getAttribute("src") ?? node.getAttribute("srcset") ?? node.getAttribute("href") ?? "";
    if (!address(named).href.startsWith(location.origin + staticFiles)) say("image", node);
  }
  for (const node of all("style")) say("style", node);
  for (const node of all("base, meta[http-equiv]")) say("head", node);
  for (const node of all("a[href], area[href], [*|href]:not(link, use)")) {
    const there = address(node.getAttribute("href") ?? node.getAttribute("xlink:href"));
    const rel = (node.getAttribute("rel") ?? "").split(/\\s+/);
    if (!["http:", "https:"].includes(there.protocol)) say("link", node);
    else if (there.origin !== location.origin) {
      if (!["noopener", "noreferrer", "nofollow"].every((each) => rel.includes(each))) say("bare link", node);
    }
  }
  for (const node of all("form[action], [formaction]")) {
    const there = address(node.getAttribute("formaction") ?? node.getAttribute("action"));
    if (there.origin !== location.origin) say("form", node);
  }
  const fields = [...all("input, textarea, option")].map((node) => node.value);
  const text = [document.title, document.documentElement.textContent, ...fields].join("\\n");
  if (text.includes("EVALUATED")) found.push(["evaluated", location.href]);
  const elsewhere = [...all("a[href]")].filter((node) => address(node.href).origin !== location.origin).length;
  settled({found, text, elsewhere});
};
requestAnimationFrame(() => requestAnimationFrame(look));
"""


class Sight(NamedTuple):
    """What a page showed: its text with the values of its fields, its links to elsewhere, and the traps that sprang."""

    address: str
    text: str
    elsewhere: int
    sprung: list[tuple[str, str]]


class Watched:
    """A browser whose pages are watched; ``site`` is the only origin that it may ask for anything."""

    def __init__(self, driver: Any, site: str, static_files: str) -> None:
        self.driver, self.site, self.static_files = driver, site, static_files
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTENING})

    def log_in(self, cookie: str) -> None:
        """Go on as the user of that session of Django's."""
        self.driver.get(f"{self.site}/tripping/nothing/")
        self.driver.delete_all_cookies()
        self.driver.add_cookie({"name": "sessionid", "value": cookie})
        self.look()

    def open(self, address: str) -> Sight:
        """Open a page of the site, and what can be opened on it."""
        self.driver.get(self.site + address)
        return self.look()

    def look(self) -> Sight:
        """The page as it is now, with all that has sprung since the last look."""
        seen = self.driver.execute_async_script(LOOKING, self.static_files)
        logged = [*self._heard(), *self._asked()]
        sprung = [(str(trap), str(what)) for trap, what in (*seen["found"], *logged)]
        return Sight(urlsplit(self.driver.current_url).path, seen["text"], seen["elsewhere"], sprung)

    def _heard(self) -> Iterator[tuple[str, str]]:
        """What the console says, but for the status of the page itself: a 403 is an answer like others."""
        for entry in self.driver.get_log("browser"):
            own = entry["source"] == "network" and entry["message"].startswith(self.driver.current_url)
            if entry["level"] in {"SEVERE", "WARNING"} and not own:
                yield "console", entry["message"]

    def _asked(self) -> Iterator[tuple[str, str]]:
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Page.javascriptDialogOpening":
                yield "dialog", event["params"]["message"]
            elif event["method"] == "Network.requestWillBeSent":
                address = event["params"]["request"]["url"]
                if not address.startswith(f"{self.site}/"):
                    yield "elsewhere", address
