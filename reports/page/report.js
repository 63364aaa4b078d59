"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  if (!("DecompressionStream" in window)) return; // the plain tables stay
  const text = $("data").textContent.trim();
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const D = JSON.parse(await new Response(stream).text());
  $("data").remove();
  document.documentElement.classList.add("js");

  const KEY = 12; // hexadecimal digits of a finding key that are embedded
  const view = $("view"), body = $("rows"), status = $("status"), dialog = $("finding");
  const make = (tag, text, cls) => {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (cls) e.className = cls;
    return e;
  };
  const outcome = (i) => D.outcomes[D.o[i]], severity = (i) => D.severities[D.s[i]], rule = (i) => D.rules[D.r[i]];
  const asset = (i) => D.assets[D.a[i]], key = (i) => D.k.slice(i * KEY, (i + 1) * KEY);
  const place = (i) => D.endpoints[D.e[i]] || D.groups[D.g[i]] || (D.certificates[D.c[i]] ? "certificate " + D.certificates[D.c[i]].slice(0, 16) + "…" : "fleet");

  // Filtering looks each dictionary up once, then tests whole numbers.
  const lower = (list) => list.map((x) => (Array.isArray(x) ? x.join(" ") : x).toLowerCase());
  const low = { r: lower(D.rules), a: lower(D.assets), e: lower(D.endpoints), c: lower(D.certificates), g: lower(D.groups), d: lower(D.details) };
  let shown = [];
  const apply = () => {
    const form = new FormData($("filter"));
    const words = String(form.get("q")).toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set(form.getAll("outcome").map((x) => D.outcomes.indexOf(x)));
    const least = D.severities.indexOf(String(form.get("severity"))), area = String(form.get("area"));
    const hits = words.map((w) => Object.fromEntries(Object.entries(low).map(([k, l]) =>
      [k, l.map((x) => (k !== "c" && k !== "g" || w.length > 5) && x.includes(w))]))); // short words would hit any digest
    const inArea = D.rules.map((r) => !area || r[0].startsWith("MD-" + area + "-"));
    shown = [];
    next: for (let i = 0; i < D.n; i++) {
      if (!outcomes.has(D.o[i]) || D.s[i] < least || !inArea[D.r[i]]) continue;
      for (const h of hits) {
        if (!(h.r[D.r[i]] || h.a[D.a[i]] || h.e[D.e[i]] || h.c[D.c[i]] || h.g[D.g[i]] || h.d[D.d[i]])) continue next;
      }
      shown.push(i);
    }
    status.textContent = shown.length.toLocaleString("en") + " of " + D.n.toLocaleString("en") + " findings";
    $("grid").setAttribute("aria-rowcount", String(shown.length + 1));
    view.scrollTop = 0;
    draw();
  };

  const ROW = 56.5 * parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const narrow = matchMedia("(max-width:44rem)"); // two columns, as in the style
  let height = ROW, from = -1, to = -1;
  const gap = (px) => {
    const tr = make("tr", undefined, "gap"), td = make("td");
    td.colSpan = narrow.matches ? 2 : 4;
    td.style.height = px + "px";
    tr.setAttribute("aria-hidden", "true");
    tr.append(td);
    return tr;
  };
  const cell = (cls, ...parts) => {
    const td = make("td", undefined, cls), div = make("div");
    div.append(...parts);
    td.append(div);
    return td;
  };
  const line = (i, at) => {
    const tr = make("tr", undefined, "row");
    tr.setAttribute("aria-rowindex", String(at + 2));
    tr.dataset.i = String(i);
    const open = make("button", rule(i)[0]);
    open.type = "button";
    open.setAttribute("aria-label", "Evidence of " + rule(i)[0] + " on " + place(i));
    const a = asset(i);
    tr.append(
      cell("", make("span", outcome(i), "tag " + outcome(i)), make("span", severity(i), "sub")),
      cell("rule", open, make("span", rule(i)[1], "sub one")),
      cell("place", make("span", a[1] || place(i), "one"), a[1] ? make("span", place(i), "sub one") : ""),
      cell("", make("span", (a[1] || place(i)) + ": " + rule(i)[0], "narrow"), make("span", D.details[D.d[i]])));
    return tr;
  };
  const draw = () => {
    const first = Math.max(0, Math.floor(view.scrollTop / height) - 10);
    const last = Math.min(shown.length, Math.ceil((view.scrollTop + view.clientHeight) / height) + 10);
    const rows = [gap(first * height)];
    for (let at = first; at < last; at++) rows.push(line(shown[at], at));
    rows.push(gap((shown.length - last) * height));
    body.replaceChildren(...rows);
    from = first; to = last;
    if (last > first) height = body.querySelector("tr.row").getBoundingClientRect().height || height;
  };
  let waiting = false;
  view.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const first = Math.floor(view.scrollTop / height), last = Math.ceil((view.scrollTop + view.clientHeight) / height);
      if (first < from + 3 && from > 0 || last > to - 3 && to < shown.length || first > to || last < from) draw();
    });
  });

  const open = (i) => {
    const dl = make("dl", undefined, "meta");
    const put = (name, ...values) => {
      if (!values.length || values[0] === "" || values[0] === undefined) return;
      const dd = make("dd");
      dd.append(...values);
      dl.append(make("dt", name), dd);
    };
    const link = make("a", rule(i)[0] + " " + rule(i)[1]);
    link.href = "#r-" + rule(i)[0];
    link.addEventListener("click", () => dialog.close());
    put("Outcome", make("span", outcome(i), "tag " + outcome(i)), " severity " + severity(i));
    put("Rule", link);
    const a = asset(i);
    if (a[0]) put("Asset", a[1] + " (" + a[0] + ")");
    put("Endpoint", D.endpoints[D.e[i]]);
    put("Group", D.groups[D.g[i]]);
    if (D.certificates[D.c[i]]) put("Certificate SHA-256", make("code", D.certificates[D.c[i]]));
    const list = make("ul", undefined, "plain");
    for (const id of D.observations[D.b[i]].split(" ").filter(Boolean)) {
      const li = make("li", "observation " + id), raw = D.raw[id];
      for (const r of raw ? raw.split(" ") : []) li.append(make("br"), make("code", r));
      list.append(li);
    }
    if (list.children.length) put("Rests on (raw bytes by SHA-256)", list);
    put("Finding key begins", make("code", key(i)));
    $("what").textContent = D.details[D.d[i]] || rule(i)[1];
    $("facts").replaceChildren(dl);
    $("same").onclick = () => {
      dialog.close();
      $("filter").q.value = a[0] || place(i);
      for (const box of document.querySelectorAll("#filter [name=outcome]")) box.checked = true;
      apply();
      $("findings").scrollIntoView();
    };
    dialog.showModal();
  };
  body.addEventListener("click", (e) => {
    const tr = e.target.closest("tr.row");
    if (tr) open(Number(tr.dataset.i));
  });
  $("close").addEventListener("click", () => dialog.close());
  $("filter").addEventListener("input", apply);
  $("filter").addEventListener("submit", (e) => e.preventDefault());
  $("filter").addEventListener("reset", () => setTimeout(apply));
  const follow = () => {
    const want = location.hash.startsWith("#f-") ? location.hash.slice(3) : "";
    for (let i = 0; want.length === KEY && i < D.n; i++) if (key(i) === want) return open(i);
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", follow);
  addEventListener("resize", draw);
  apply();
  follow();
})();
