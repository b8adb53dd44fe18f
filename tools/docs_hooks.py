"""Adds files outside `docs/` that pages link to, such as the zoo's, to the site.

Links in the documentation are those of the repository, so that they work on code hosts.
MkDocs only knows `docs/`: here, linked files get the same path in the site as in the
repository, except that `docs/` is the site's root.
"""

from __future__ import annotations

import posixpath
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/headline/README.md")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_LINK = re.compile(r"(?<=\]\()[^)\s#:]+(?=[)#])")


def on_files(files: Files, config: Any) -> Files:
    """Add the files that pages link to, and what those link to."""
    pages = [DOCS / file.src_uri for file in files.documentation_pages()]
    pages += [ROOT / name for name in PAGES]
    for page in pages:
        for target in [page, *_linked(page)]:
            name = _in_site(target)
            if target.is_file() and files.get_file_from_path(name) is None:
                added = File.generated(config, name, abs_src_path=str(target))
                files.append(added)
                if target.suffix == ".md":
                    pages.append(target)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite links to files outside `docs/`."""
    source = Path(page.file.abs_src_path)
    folder = posixpath.dirname(page.file.src_uri)

    def rewritten(match: re.Match[str]) -> str:
        name = _in_site(_target(source, match[0]))
        return urllib.parse.quote(posixpath.relpath(name, folder or "."))

    # Every other part is code.
    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(rewritten, part) for part in parts[::2]]
    return "".join(parts)


def _linked(page: Path) -> Iterator[Path]:
    for text in _CODE.split(page.read_text(encoding="utf-8"))[::2]:
        for link in _LINK.findall(text):
            yield _target(page, link)


def _target(page: Path, link: str) -> Path:
    """Return the file that a link leads to; for a folder, what describes it."""
    target = (page.parent / urllib.parse.unquote(link)).resolve()
    inner = (target / name for name in ("README.md", "config.json"))
    return next((file for file in inner if file.is_file()), target)


def _in_site(path: Path) -> str:
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()
