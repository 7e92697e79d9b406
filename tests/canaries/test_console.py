"""What the console's page and its browser keep after a comparison that was signed with a key: nothing of it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFilter
from tests.conftest import CHROMIUM
from tests.console.page import answered, count_requests, drop, put

from likeness.aws.keys import Record, create_key, create_session

from .conftest import Canaries, Pictures, empty_surroundings, text_of
from .surroundings import files_below, shared_memory

pytestmark = pytest.mark.engine

#: All that a page can keep beyond its own memory, as text.
KEPT = """async () => {
  const databases = [];
  for (const { name } of await indexedDB.databases()) {
    const opening = indexedDB.open(name);
    const database = await new Promise((resolve) => { opening.onsuccess = () => resolve(opening.result); });
    for (const store of database.objectStoreNames) {
      const all = database.transaction(store).objectStore(store).getAll();
      databases.push(name, store, await new Promise((resolve) => { all.onsuccess = () => resolve(all.result); }));
    }
    database.close();
  }
  const cached = [];
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) cached.push(request.url, await (await cache.match(request)).text());
  }
  return Object.entries({
    "local storage": { ...localStorage }, "session storage": { ...sessionStorage }, databases, cached,
    cookies: document.cookie, history: [location.href, history.state, document.title, window.name],
    workers: (await navigator.serviceWorker.getRegistrations()).map(({ scope }) => scope),
  }).map(([place, what]) => [place, JSON.stringify(what)]);
}"""
#: Keeps the texts given, each in the place that is its name.
PLANT = """async (texts) => {
  localStorage.setItem("a", texts["local storage"]);
  sessionStorage.setItem("a", texts["session storage"]);
  await new Promise((resolve) => {
    const opening = indexedDB.open("a", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("b").put(texts.databases, "c");
    opening.onsuccess = () => { opening.result.close(); resolve(); };
  });
  await (await caches.open("a")).put("console/a", new Response(texts.cached));
  document.cookie = `a=${texts.cookies}; max-age=1000`;
  history.replaceState(texts.history, "", `?a=${texts.history}`);
  const script = document.querySelector("script[src]").src;
  await (await fetch(`${script}?a=${texts["disk cache"]}`)).text();
}"""
IN_PAGE = ("local storage", "session storage", "databases", "cached", "cookies", "history")
#: Chromium encrypts cookies.
ON_DISK = ("local storage", "session storage", "databases", "cached", "history", "disk cache")


@dataclass
class Visit:
    """What was kept after a comparison, by the page and in files; and then, when a text was planted in each place.

    `files` are those while the browser runs, `files_planted` those that it leaves; `posts` counts comparisons.
    """

    canaries: Canaries
    posts: int = 0
    page: Mapping[str, bytes] = field(default_factory=dict)
    page_planted: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    files_planted: Mapping[str, bytes] = field(default_factory=dict)

    def found(self, contents: Mapping[str, bytes]) -> dict[str, set[str]]:
        return {place: found for place, each in contents.items() if (found := self.canaries.search.found(each))}


@dataclass(frozen=True)
class Caller:
    """What a person gives to the page."""

    key: Record
    source: Path
    target: Path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A browser with a profile of its own, and the empty folder in which it, and all else that it writes, will be."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need the package playwright")
    if not CHROMIUM:
        pytest.skip("the browser tests need Chromium (apt-get install chromium)")
    folder = tmp_path_factory.mktemp("browser")
    environment = empty_surroundings(folder)
    with sync_api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "profile", executable_path=CHROMIUM, args=["--no-sandbox"], env=environment
        )
        context.set_default_timeout(60_000)
        yield context, folder
        context.close()


@pytest.fixture(scope="module")
def caller(pictures: Pictures, measured: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """With what is searched for, and the file with the key.

    One photo is blurred, for a similarity that is not 100 when it is rounded: the page's program has "similarity" and
    "100" side by side, and a browser has low numbers beside "score".
    """
    canaries, folder = Canaries(), tmp_path_factory.mktemp("caller")
    blurred = pictures.again.filter(ImageFilter.GaussianBlur(2))
    source, target = canaries.photo("source", pictures.person), canaries.photo("target", blurred, "PNG")
    measured(canaries, source, target)
    (folder / "source.jpg").write_bytes(source)
    (folder / "target.png").write_bytes(target)
    key = create_session(folder / "keys.json", create_key(folder / "keys.json", "console").id)
    canaries.search.add_text("secret", key.secret)
    canaries.search.add_text("token", key.session_token or "")
    return canaries, Caller(key, folder / "source.jpg", folder / "target.png"), folder / "keys.json"


@pytest.fixture(scope="module")
def visit(
    chromium: tuple[Any, Path], caller: Any, start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Visit:
    (context, folder), (canaries, given, keys) = chromium, caller
    made, began = Visit(canaries), time.time_ns()
    settings = f'port = 0\nauth = "sigv4"\nkeys = "{keys}"\n'
    with start_server(tmp_path_factory.mktemp("server"), settings, debug=False) as (_, port):
        page = context.new_page()
        sent = count_requests(page)
        page.goto(f"http://127.0.0.1:{port}/")
        compare_signed(page, given)
        made.posts, made.page = len(sent), told_by(page)
        made.files = files_below(folder) | shared_memory(began)
        texts = {place: text_of(f"planted: {place}") for place in {*IN_PAGE, *ON_DISK}}
        page.evaluate(PLANT, {place: canaries.search.add_text(place, text) for place, text in texts.items()})
        made.page_planted = told_by(page)
    context.close()
    made.files_planted = files_below(folder)
    return made


def compare_signed(page: Any, caller: Caller) -> None:
    key = caller.key
    for name, text in (("id", key.id), ("secret", key.secret), ("token", key.session_token)):
        page.fill(f"[name={name}]", text)
    page.locator("#sign-in button").click()
    put(page, "source", caller.source)
    drop(page, "target", caller.target)
    answered(page)


def told_by(page: Any) -> dict[str, bytes]:
    told = dict(page.evaluate(KEPT)) | {"browser's state": json.dumps(page.context.storage_state(indexed_db=True))}
    return {place: text.encode() for place, text in told.items()}


def test_the_page_keeps_none(visit: Visit) -> None:
    assert visit.posts >= 1
    assert set(visit.page) >= {*IN_PAGE}
    assert visit.found(visit.page) == {}


def test_no_file_of_the_browser_has_any(visit: Visit) -> None:
    assert any("Cache_Data" in path for path in visit.files)
    assert visit.found(visit.files) == {}


def test_what_is_kept_on_purpose_is_found(visit: Visit) -> None:
    found = visit.found(visit.page_planted)
    assert {place: found[place] for place in IN_PAGE} == {place: {place} for place in IN_PAGE}
    assert found["browser's state"] == {"local storage", "databases", "cookies"}
    changed = {path: each for path, each in visit.files_planted.items() if each != visit.files.get(path)}
    assert set().union(*visit.found(changed).values()) == set(ON_DISK)
