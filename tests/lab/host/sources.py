"""Where this machine's own apt gets Debian from: mirror, keyring, proxy.

No mirror is named anywhere in the project; a tree of another release comes from
whatever source the machine itself was set up with.
"""

import pathlib
import re
import shlex
import subprocess
import urllib.parse

from .common import LabError

APT = pathlib.Path("/etc/apt")
DEFAULT_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def os_codename():
    text = pathlib.Path("/etc/os-release").read_text()
    found = re.search(r'^VERSION_CODENAME="?(\w+)', text, re.M)
    return found.group(1) if found else ""


def stanzas(text):
    """Fields of each stanza of a .sources file (deb822), names in lower case."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields, last = {}, None
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in " \t" and last:
                fields[last] += "\n" + line.strip()
            elif ":" in line:
                last, value = line.split(":", 1)
                last = last.strip().lower()
                fields[last] = value.strip()
        if fields:
            yield fields


def from_sources_file(path):
    for field in stanzas(path.read_text()):
        if field.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" in field.get("types", "").split():
            for uri in field.get("uris", "").split():
                yield (uri, field.get("suites", "").split(),
                       field.get("components", "").split(), field.get("signed-by", ""))


def from_list_file(path):
    """One-line entries: deb [option=value ...] URI suite component..."""
    for line in path.read_text().splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if found:
            options = dict(o.split("=", 1) for o in (found.group(1) or "").split() if "=" in o)
            yield (found.group(2), [found.group(3)], found.group(4).split(),
                   options.get("signed-by", ""))


def entries():
    lists = [APT / "sources.list", *sorted((APT / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            yield from from_list_file(path)
    for path in sorted((APT / "sources.list.d").glob("*.sources")):
        yield from from_sources_file(path)


def debian_mirror():
    """(mirror, signed-by) of the source of this machine's own base system."""
    codename = os_codename()
    for uri, suites, components, signed in entries():
        usable = uri.startswith(("http://", "https://", "file:/"))
        if usable and codename in suites and "main" in components:
            return uri.rstrip("/"), signed
    raise LabError(f"no usable apt source for suite '{codename}', component 'main', in {APT}")


def keyring_file(signed, where):
    """A keyring file for debootstrap; `where` takes a key that is written out inline."""
    if "BEGIN PGP" in signed:
        armoured = "\n".join("" if l == "." else l for l in signed.splitlines()).strip() + "\n"
        where.write_text(armoured)
        return str(where)
    for name in signed.split(","):
        if name.strip().startswith("/"):
            return name.strip()
    return DEFAULT_KEYRING


def apt_config(*names):
    pairs = [word for i, name in enumerate(names) for word in (f"V{i}", name)]
    out = subprocess.run(["apt-config", "shell", *pairs], capture_output=True, text=True).stdout
    values = dict(word.split("=", 1) for word in shlex.split(out) if "=" in word)
    return [values.get(f"V{i}", "") for i in range(len(names))]


def proxy_environment(mirror):
    """http_proxy / https_proxy as apt would use them for this mirror."""
    url = urllib.parse.urlsplit(mirror)
    if url.scheme not in ("http", "https"):
        return {}
    base = f"Acquire::{url.scheme}"
    for_host, general, detect, old_detect = apt_config(
        f"{base}::Proxy::{url.hostname}", f"{base}::Proxy",
        f"{base}::Proxy-Auto-Detect", f"{base}::ProxyAutoDetect")
    proxy = for_host or general
    if not proxy and (detect or old_detect):
        out = subprocess.run([detect or old_detect, mirror], capture_output=True, text=True)
        proxy = out.stdout.strip()
    if proxy == "DIRECT":
        return {"no_proxy": url.hostname}
    return {f"{url.scheme}_proxy": proxy} if proxy else {}
