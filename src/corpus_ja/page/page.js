// Fills the page from the data in it. Everything that a document, a name or a mix says becomes a text node, never markup;
// control, bidi and zero-width characters are shown as their code points. No request is made and no code is compiled.
"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const { stats, words, charts } = facts;
  const language = document.documentElement.lang;
  const byId = (id) => document.getElementById(id);

  // ------------------------------------------------------------------------------------------------- words and numbers

  const say = (key, values = {}) => {
    if (!(key in words)) throw new Error(`no words for ${key}`);
    return words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  };
  const plain = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const compact = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 3 });
  const percentage = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
  const count = (n) => plain.format(n);
  const brief = (n) => (Math.abs(n) >= 100000 ? compact.format(n) : plain.format(n));
  const share = (part, whole) => (whole ? percentage.format(part / whole) : "–");
  const signed = (n) => (n > 0 ? `+${count(n)}` : n < 0 ? `−${count(-n)}` : "±0");
  const fixed = (n, digits) => (n === null || n === undefined ? "–" : n.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const number = (n) => {
    if (!Number.isFinite(n)) return String(n);
    return Number.isInteger(n) ? count(n) : n.toLocaleString(language, { maximumSignificantDigits: 6 });
  };
  const megabytes = (n) => (n >= 1e9 ? `${fixed(n / 1e9, 2)} GB` : n >= 1e6 ? `${fixed(n / 1e6, 1)} MB` : `${fixed(n / 1e3, 1)} kB`);

  // --------------------------------------------------------------------------------------------------------- elements

  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{1bca0}-\u{1bca3}]|[\u{1d173}-\u{1d17a}]|[\u{e0000}-\u{e007f}]/u;
  const codePoint = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  // A string from outside, isolated, with what cannot be seen made visible.
  function shown(value, tag = "bdi") {
    const node = el(tag);
    append(node, Array.from(String(value)), () => null);
    return node;
  }

  // Characters into text nodes and escapes; `style` says which element a place is wrapped in: null, "mark" or "found".
  function append(node, characters, style) {
    let run = "";
    let wrapped = null;
    let target = node;
    const flush = () => {
      if (run) target.append(run);
      run = "";
    };
    for (let place = 0; place < characters.length; place += 1) {
      const wanted = style(place);
      if (wanted !== wrapped) {
        flush();
        target = wanted === null ? node : node.appendChild(wanted === "mark" ? el("mark") : el("mark", { class: "found" }));
        wrapped = wanted;
      }
      const character = characters[place];
      if (HIDDEN.test(character)) {
        flush();
        target.append(el("span", { class: "escape" }, codePoint(character)));
      } else run += character;
    }
    flush();
  }

  const code = (value) => {
    const node = shown(value);
    node.className = "code";
    return node;
  };

  // A table whose columns can be sorted: headings, rows of cells; a cell is a node, a string, or {value, text, node}.
  function table(holder, headings, rows, { total = null, sort = null, caption = null } = {}) {
    const body = el("tbody");
    const cell = (one, column) => {
      const given = one !== null && typeof one === "object" && !(one instanceof Node) ? one : { node: one };
      const inner = given.node instanceof Node ? given.node : String(given.text ?? given.node ?? "");
      const heading = headings[column];
      if (column === 0) return el("th", { scope: "row", class: heading.long ? "long" : null }, inner);
      return el("td", { class: heading.words ? "words" : given.value === 0 ? "nought" : null }, inner);
    };
    const valueOf = (one) => (one !== null && typeof one === "object" && "value" in one ? one.value : one instanceof Node ? one.textContent : one);
    const fill = (ordered) => body.replaceChildren(...ordered.map((row) => el("tr", {}, ...row.map(cell))));
    const head = headings.map((heading, column) => {
      const inner = heading.sort === false ? heading.label : el("button", { type: "button" }, heading.label);
      const node = el("th", { scope: "col", class: heading.words ? "words" : null, title: heading.title }, inner);
      if (heading.sort !== false) {
        inner.addEventListener("click", () => order(column, node.getAttribute("aria-sort") === "descending" ? 1 : -1));
      }
      return node;
    });
    function order(column, direction) {
      head.forEach((node) => node.removeAttribute("aria-sort"));
      head[column].setAttribute("aria-sort", direction < 0 ? "descending" : "ascending");
      const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), language));
      fill([...rows].sort((a, b) => direction * compare(valueOf(a[column]), valueOf(b[column]))));
    }
    fill(rows);
    const foot = total ? el("tfoot", {}, el("tr", { class: "total" }, ...total.map(cell))) : null;
    holder.replaceChildren(el("table", {}, caption ? el("caption", {}, caption) : null, el("thead", {}, el("tr", {}, ...head)), body, foot));
    if (sort !== null) order(sort, -1);
  }

  const cellOf = (n) => ({ value: n, text: count(n) });
  const definitions = (holder, pairs) =>
    holder.replaceChildren(
      ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([term, value, small]) =>
        el("div", {}, el("dt", {}, term), el("dd", {}, value, small ? el("small", {}, small) : null)),
      ),
    );

  // ----------------------------------------------------------------------------------------------------------- charts

  const compiled = new Map();
  const drawn = new Map();
  const waiting = [];
  let working = false;

  function width(holder) {
    const panel = holder.closest(".card");
    const available = panel && panel.clientWidth ? panel.clientWidth - 36 : panel ? cardWidth() : byId("main").clientWidth - 40;
    return Math.max(180, Math.min(available, 1060));
  }
  function cardWidth() {
    const whole = byId("main").clientWidth - 40;
    const columns = Math.max(1, Math.floor((whole + 19) / (464 + 19)));
    return (whole - 19 * (columns - 1)) / columns - 38;
  }

  // A chart in a holder: `rows` by data set; `scale` "symlog" bends the x axis of a histogram.
  function chart(holder, name, rows, { scale = "linear", ticks = null } = {}) {
    const before = drawn.get(holder);
    drawn.set(holder, { name, rows, scale, ticks, view: before ? before.view : null, width: before ? before.width : 0 });
    if (before && before.view && before.scale === scale && before.name === name && before.width === width(holder)) {
      update(before.view, rows);
      return;
    }
    if (!waiting.includes(holder)) waiting.push(holder);
    if (!working) work();
  }
  function update(view, rows) {
    for (const [set, values] of Object.entries(rows)) view.data(set, values);
    view.runAsync();
  }
  async function work() {
    working = true;
    await new Promise((resolve) => setTimeout(resolve));
    while (waiting.length) {
      // What can be seen comes first.
      const visible = waiting.findIndex((holder) => holder.offsetParent !== null);
      const [holder] = waiting.splice(Math.max(0, visible), 1);
      await draw(holder);
      await new Promise((resolve) => setTimeout(resolve));
    }
    working = false;
    document.documentElement.dataset.charts = "drawn";
  }
  async function draw(holder) {
    const wanted = drawn.get(holder);
    const across = width(holder);
    const key = `${wanted.name}/${across}/${wanted.scale}/${wanted.ticks}`;
    let spec = compiled.get(key);
    const known = spec !== undefined;
    if (!known) {
      spec = structuredClone(charts[wanted.name]);
      if (wanted.name === "fates") {
        const { domain, range } = spec.encoding.color.scale;
        const there = domain.map((_, place) => FATES[place] !== "unreadable" && sources.some((name) => Object.values(fates[name][FATES[place]]).some((n) => n)));
        spec.encoding.color.scale = { domain: domain.filter((_, place) => there[place]), range: range.filter((_, place) => there[place]) };
      }
      const room = { signal: 46, rules: 250, clusters: 60, stages: 150 }[wanted.name] ?? 130;
      for (const part of spec.vconcat ?? [spec]) {
        part.width = Math.max(120, across - room);
        for (const layer of part.layer ?? []) {
          if (wanted.name !== "signal") continue;
          layer.encoding.x.scale = { ...layer.encoding.x.scale, type: wanted.scale };
          if (layer.encoding.x.axis && wanted.ticks) layer.encoding.x.axis = { ...layer.encoding.x.axis, values: wanted.ticks, labelExpr: "format(datum.value, '~s')", labelOverlap: true };
        }
      }
    }
    const filled = structuredClone(spec);
    if (known) for (const set of filled.data) set.values = wanted.rows[set.name] ?? set.values;
    else filled.datasets = wanted.rows;
    const { view, vgSpec } = await vegaEmbed(holder, filled, {
      mode: known ? "vega" : "vega-lite", ast: true, logLevel: 1, actions: false, defaultStyle: false, renderer: "svg", hover: false, tooltip: tip,
    });
    // Thirty histograms are compiled once.
    if (!known) compiled.set(key, vgSpec);
    wanted.width = across;
    wanted.view = view;
    const now = drawn.get(holder);
    now.view = view;
    now.width = across;
    if (now.rows !== wanted.rows) update(view, now.rows);
  }
  function tip(handler, event, item, value) {
    const box = byId("tip");
    if (value === null || value === undefined || value === "") {
      box.hidden = true;
      return;
    }
    const lines = typeof value === "object" ? Object.values(value).map(String) : [String(value)];
    box.textContent = lines.join("\n");
    box.hidden = false;
    box.style.left = `${Math.max(4, Math.min(event.pageX + 12, document.documentElement.clientWidth - 220))}px`;
    box.style.top = `${event.pageY + 14}px`;
  }
  let resizing = 0;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const [holder, own] of drawn) if (own.width !== width(holder) && !waiting.includes(holder)) waiting.push(holder);
      if (!working) work();
    }, 200);
  });

  // ------------------------------------------------------------------------------------------------------------- head

  const sources = Object.keys(stats.sources);
  const total = (pick) => sources.reduce((sum, name) => sum + pick(stats.sources[name]), 0);
  const read = total((one) => one.read.documents);
  const kept = total((one) => one.kept.documents);
  const unreadable = total((one) => Object.values(one.unreadable).reduce((a, b) => a + b, 0));

  const FATES = facts.fates;
  const fateOf = (verdict) => {
    if (verdict === "kept" || verdict === "language" || verdict === "where") return verdict;
    if (verdict === "mix.not_sampled") return "not_sampled";
    if (verdict.startsWith("duplicate.")) return "duplicates";
    if (verdict.startsWith("decontaminate.")) return "contaminated";
    if (verdict.startsWith("unreadable/")) return "unreadable";
    return "rules";
  };
  const fates = {};
  for (const name of sources) {
    const own = (fates[name] = Object.fromEntries(FATES.map((fate) => [fate, { documents: 0, bytes: 0, tokens: 0 }])));
    for (const [verdict, tally] of Object.entries(facts.funnel[name])) {
      for (const unit of ["documents", "bytes", "tokens"]) own[fateOf(verdict)][unit] += tally[unit];
    }
    const cleaned = FATES.reduce((sum, fate) => sum + own[fate].bytes, 0);
    own.cleaning.bytes = Math.max(0, stats.sources[name].read.bytes - cleaned);
  }
  const fell = (fate) => sources.reduce((sum, name) => sum + fates[name][fate].documents, 0);

  function head() {
    byId("name").replaceWith(Object.assign(shown(stats.name), { id: "name" }));
    const train = stats.shards.train.tokens;
    const worst = FATES.filter((fate) => !["kept", "cleaning", "unreadable"].includes(fate) && fell(fate))
      .sort((a, b) => fell(b) - fell(a)).map((fate) => `${say(`fate_${fate}`)} ${count(fell(fate))}`);
    byId("story").textContent = say(worst.length ? "story" : "story_all", {
      tokens: brief(train), rows: count(stats.shards.train.rows), length: count(stats.sequence_length),
      read: count(read), kept: count(kept), share: share(kept, read), reasons: worst.join(say("comma")), sources: count(sources.length),
    });
    definitions(byId("figures"), [
      [say("training_tokens"), brief(train), say("tokens_exact", { tokens: count(train), held: count(stats.shards.validation.tokens) })],
      [say("kept_documents"), count(kept), say("of_read", { read: count(read), share: share(kept, read) })],
      [say("dropped_documents"), count(read - kept), worst.slice(0, 3).join(say("comma"))],
      [say("unreadable_lines"), count(unreadable), say("unreadable_note")],
      [say("text_read"), megabytes(total((one) => one.read.bytes)), say("text_kept", { bytes: megabytes(total((one) => one.kept.bytes)) })],
    ]);
    definitions(byId("prints"), [
      [say("seed"), String(facts.seed)], [say("fingerprint"), stats.fingerprint],
      [say("tokenizer"), shown(stats.tokenizer.name)], [say("vocabulary"), count(stats.tokenizer.vocab_size)],
      [say("sequence_length"), count(stats.sequence_length)], [say("packing"), shown(facts.packing.method)],
      [say("version"), shown(facts.versions["corpus-ja"] ?? "–")],
    ]);
  }

  // ------------------------------------------------------------------------------------------------------------- tabs

  const TABS = ["funnel", "rules", "limits", "documents", "duplicates", "evaluation", "mix", "run", "origin"];
  function tabs() {
    const list = byId("tabs");
    const buttons = TABS.map((name) =>
      el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": name, "aria-selected": "false", tabindex: "-1" }, say(`tab_${name}`)));
    const show = (name, focus) => {
      for (const button of buttons) {
        const own = button.getAttribute("aria-controls");
        button.setAttribute("aria-selected", String(own === name));
        button.tabIndex = own === name ? 0 : -1;
        byId(own).hidden = own !== name;
        if (own === name && focus) button.focus();
        if (own === name) list.scrollLeft = Math.max(0, button.offsetLeft - list.clientWidth / 2 + button.clientWidth / 2);
      }
    };
    list.append(...buttons);
    for (const name of TABS) {
      byId(name).setAttribute("role", "tabpanel");
      byId(name).setAttribute("aria-labelledby", `tab-${name}`);
      byId(name).tabIndex = -1;
    }
    list.addEventListener("click", (event) => {
      const button = event.target.closest("[role=tab]");
      if (button) open(button.getAttribute("aria-controls"), true);
    });
    list.addEventListener("keydown", (event) => {
      const at = buttons.findIndex((button) => button.getAttribute("aria-selected") === "true");
      const step = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      open(TABS[(step + TABS.length) % TABS.length], true);
    });
    const open = (name, focus) => {
      show(name, focus);
      history.replaceState(null, "", `#${name}`);
      window.scrollTo({ top: Math.min(window.scrollY, document.querySelector(".tabs").offsetTop), behavior: "instant" });
    };
    const fromAddress = () => {
      const name = decodeURIComponent(location.hash.slice(1));
      show(TABS.includes(name) ? name : "funnel", false);
    };
    window.addEventListener("hashchange", fromAddress);
    fromAddress();
    return open;
  }

  // ----------------------------------------------------------------------------------------------------------- funnel

  function radios(holder, name, options, chosen, onChange) {
    for (const [value, label] of options) {
      const input = el("input", { type: "radio", name, value, checked: value === chosen });
      input.addEventListener("change", () => onChange(value));
      holder.append(el("label", {}, input, ` ${label}`));
    }
  }
  function funnel() {
    const show = (unit) => {
      const shownFates = FATES.filter((fate) => fate !== "unreadable" && (fate !== "cleaning" || unit === "bytes"));
      const all = (name) => shownFates.reduce((sum, fate) => sum + fates[name][fate][unit], 0);
      const rows = sources.flatMap((name) => {
        let start = 0;
        const whole = all(name);
        return shownFates.filter((fate) => fates[name][fate][unit]).map((fate) => {
          const amount = fates[name][fate][unit];
          const from = start;
          start += amount / whole;
          const label = say(`fate_${fate}`);
          return { source: name, label, start: from, end: start, share: amount / whole, amount: count(amount), told: `${name}, ${label}: ${count(amount)}` };
        });
      });
      chart(byId("chart-fates"), "fates", { fates: rows });
      const used = shownFates.filter((fate) => fate === "kept" || sources.some((name) => fates[name][fate][unit]));
      const format = unit === "bytes" ? (n) => ({ value: n, text: megabytes(n) }) : cellOf;
      const sum = (fate) => sources.reduce((all, name) => all + fates[name][fate][unit], 0);
      const wholeOf = (name) => (unit === "tokens" ? all(name) : stats.sources[name].read[unit]);
      table(
        byId("table-fates"),
        [{ label: say("source") }, { label: say(unit === "tokens" ? "encoded" : "read") }, ...used.filter((fate) => fate !== "kept").reverse().map((fate) => ({ label: say(`fate_${fate}`) })),
          { label: say("fate_kept") }, { label: say("kept_share") }],
        sources.map((name) => [
          { value: name, node: code(name) }, format(wholeOf(name)),
          ...used.filter((fate) => fate !== "kept").reverse().map((fate) => format(fates[name][fate][unit])),
          format(fates[name].kept[unit]), { value: wholeOf(name) ? fates[name].kept[unit] / wholeOf(name) : 0, text: share(fates[name].kept[unit], wholeOf(name)) },
        ]),
        {
          total: [
            { node: say("all_sources") }, format(sources.reduce((all, name) => all + wholeOf(name), 0)),
            ...used.filter((fate) => fate !== "kept").reverse().map((fate) => format(sum(fate))),
            format(sum("kept")), { text: share(sum("kept"), sources.reduce((all, name) => all + wholeOf(name), 0)) },
          ],
        },
      );
    };
    radios(byId("unit"), "unit", [["documents", say("documents")], ["tokens", say("tokens")], ["bytes", say("bytes")]], "documents", show);
    show("documents");
    const reasons = new Map();
    for (const name of sources) for (const [reason, n] of Object.entries(stats.sources[name].unreadable)) {
      reasons.set(reason, { ...(reasons.get(reason) ?? {}), [name]: n });
    }
    const none = (id) => byId(id).replaceChildren(el("p", { class: "count" }, say("nothing")));
    if (reasons.size) {
      table(byId("table-unreadable"), [{ label: say("reason") }, { label: say("lines") }, { label: say("in_sources"), words: true, sort: false }],
        [...reasons].map(([reason, own]) => [{ value: reason, node: code(reason) }, cellOf(Object.values(own).reduce((a, b) => a + b, 0)),
          { node: shown(Object.entries(own).map(([name, n]) => `${name} ${count(n)}`).join(", ")) }]), { sort: 1 });
    } else none("table-unreadable");
    const kinds = [...new Set(sources.flatMap((name) => Object.keys(stats.sources[name].cleaned)))];
    if (kinds.length) {
      table(byId("table-cleaned"), [{ label: say("source") }, ...kinds.map((kind) => ({ label: kind }))],
        sources.map((name) => [{ value: name, node: code(name) }, ...kinds.map((kind) => cellOf(stats.sources[name].cleaned[kind] ?? 0))]));
    } else none("table-cleaned");
  }

  // ------------------------------------------------------------------------------------------------------------ rules

  const SIGNS = { min: "≥", max: "≤", above: ">", below: "<" };
  const limitText = (rule) => {
    const parts = Object.entries(rule.limits).map(([key, value]) => `${SIGNS[key]} ${number(value)}`);
    for (const [key, list] of Object.entries(rule.words)) parts.push(`${say(key)} ${list.slice(0, 12).join(", ")}${list.length > 12 ? " …" : ""}`);
    return parts.join(say("and"));
  };
  const summed = (bySource, unit, only = null) =>
    Object.entries(bySource).reduce((sum, [name, tally]) => sum + (only === null || only === name ? tally[unit] : 0), 0);

  function ruleTable(openTab) {
    const rules = facts.rules;
    if (!rules.length) {
      byId("table-rules").replaceChildren(el("p", { class: "note" }, say(facts.recorded ? "no_rules" : "rules_not_recorded")));
      return;
    }
    const label = new Map();
    for (const rule of rules) {
      const same = rules.filter((other) => other.name === rule.name);
      label.set(rule, same.length > 1 ? `${rule.name} (${rule.sources.join(", ")})` : rule.name);
    }
    const top = rules.filter((rule) => summed(rule.broken, "documents")).sort((a, b) => summed(b.first, "documents") - summed(a.first, "documents") || summed(b.broken, "documents") - summed(a.broken, "documents")).slice(0, 20);
    const kinds = ["broken", "first", "alone"];
    if (top.length) {
      chart(byId("chart-rules"), "rules", {
        rules: kinds.flatMap((kind) => top.map((rule) => ({ rule: label.get(rule), kind: say(`rule_${kind}`), documents: summed(rule[kind], "documents") }))),
      });
    }
    const jump = (rule) => {
      const inner = code(label.get(rule));
      if (!Object.keys(rule.limits).length || !rule.run) return inner;
      const link = el("a", { href: `#limits` }, inner);
      link.addEventListener("click", (event) => {
        event.preventDefault();
        openTab("limits", false);
        const card = byId(`signal-${rule.signal}`);
        if (card) {
          card.scrollIntoView({ block: "start" });
          card.focus({ preventScroll: true });
        }
      });
      return link;
    };
    const judged = sources.reduce((sum, name) => sum + facts.judged[name], 0);
    const all = (kind, unit) => rules.reduce((sum, rule) => sum + summed(rule[kind], unit), 0);
    table(
      byId("table-rules"),
      [{ label: say("rule"), long: true }, { label: say("rule_first") }, { label: say("of_judged") }, { label: say("tokens") },
        { label: say("rule_alone") }, { label: say("tokens_alone") }, { label: say("rule_broken") }],
      rules.map((rule) => {
        const first = summed(rule.first, "documents");
        const over = rule.sources.reduce((sum, name) => sum + (facts.judged[name] ?? 0), 0);
        const told = el("div", {}, jump(rule),
          el("span", { class: "limits" }, `${say("keeps_when")} `, code(rule.signal), " ", shown(limitText(rule)),
            rule.missing === "drop" ? ` (${say("missing_drop")})` : null, rule.run ? null : ` (${say("not_run")})`),
          el("span", { class: "why", lang: "en" }, shown(rule.why)));
        return [{ value: rule.name, node: told }, cellOf(first), { value: over ? first / over : 0, text: share(first, over) }, cellOf(summed(rule.first, "tokens")),
          cellOf(summed(rule.alone, "documents")), cellOf(summed(rule.alone, "tokens")), cellOf(summed(rule.broken, "documents"))];
      }),
      {
        sort: 1,
        total: [{ node: `${say("all_rules")} · ${say("judged_documents", { judged: count(judged) })}` }, cellOf(all("first", "documents")), { text: share(all("first", "documents"), judged) },
          cellOf(all("first", "tokens")), cellOf(all("alone", "documents")), cellOf(all("alone", "tokens")), { text: "" }],
      },
    );
  }

  // ----------------------------------------------------------------------------------------------------------- limits

  const SIZES = { f4: 4, u4: 4, f8: 8, u1: 1 };
  const TYPES = { f4: Float32Array, u4: Uint32Array, f8: Float64Array, u1: Uint8Array };

  async function unpacked() {
    const text = byId("sample").textContent;
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let place = 0; place < binary.length; place += 1) bytes[place] = binary.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  function array(bytes, at, length, kind) {
    const size = SIZES[kind];
    const joined = new Uint8Array(length * size);
    for (let plane = 0; plane < size; plane += 1) {
      const from = at + plane * length;
      for (let place = 0; place < length; place += 1) joined[place * size + plane] = bytes[from + place];
    }
    return new TYPES[kind](joined.buffer);
  }

  // The sample of every source as arrays, and which documents which rule breaks under the limits as they are set.
  class Sample {
    constructor(bytes, header, rules) {
      this.rules = rules;
      this.limits = rules.map((rule) => ({ ...rule.limits }));
      this.whole = header.documents === header.judged;
      this.sources = header.sources.map((own) => {
        const n = own.documents;
        const columns = Object.fromEntries(Object.entries(own.columns).map(([signal, { kind, at }]) => [signal, { kind, values: array(bytes, at, n, kind) }]));
        const broken = new Map();
        for (const [rule, at] of Object.entries(own.fixed)) broken.set(Number(rule), array(bytes, at, n, "u1"));
        return { name: own.name, n, judged: own.judged, scale: n ? own.judged / n : 0, tokens: array(bytes, own.tokens, n, "u4"), rules: own.rules, columns, broken, counts: new Uint16Array(n), before: null };
      });
      for (const own of this.sources) {
        for (const bits of own.broken.values()) for (let i = 0; i < own.n; i += 1) own.counts[i] += bits[i];
        for (const rule of own.rules) this.judge(own, rule);
        own.before = own.counts.map((broken) => (broken ? 1 : 0));
      }
    }

    // As stages/rules.py does: no value is `missing`; a limit is rounded to the column's precision.
    judge(own, rule) {
      const column = own.columns[this.rules[rule].signal];
      if (!column || !Object.keys(this.rules[rule].limits).length) return;
      const old = own.broken.get(rule);
      const bits = new Uint8Array(own.n);
      const limits = this.limits[rule];
      const rounded = (key) => (limits[key] === undefined ? null : column.kind === "f4" ? Math.fround(limits[key]) : limits[key]);
      const [min, max, above, below] = ["min", "max", "above", "below"].map(rounded);
      const missing = this.rules[rule].missing === "drop" ? 1 : 0;
      for (let i = 0; i < own.n; i += 1) {
        const value = column.values[i];
        if (Number.isNaN(value)) bits[i] = missing;
        else bits[i] = (min !== null && value < min) || (max !== null && value > max) || (above !== null && value <= above) || (below !== null && value >= below) ? 1 : 0;
        own.counts[i] += bits[i] - (old ? old[i] : 0);
      }
      own.broken.set(rule, bits);
    }
    set(rule, key, value) {
      this.limits[rule][key] = value;
      for (const own of this.sources) if (own.rules.includes(rule)) this.judge(own, rule);
    }
    within(source) {
      return this.sources.filter((own) => source === null || own.name === source);
    }
    ruleMoved(number) {
      return Object.entries(this.rules[number].limits).some(([key, value]) => this.limits[number][key] !== value);
    }
    movedIn(own) {
      return own.rules.some((number) => this.ruleMoved(number));
    }
    get moved() {
      return this.sources.some((own) => this.movedIn(own));
    }

    // Documents and tokens that pass language and rules now: what passed in the build, known exactly, and the change, which is
    // exact where the sample is the whole and else scaled up, with half the width of a 95% interval.
    passing(source) {
      const result = { documents: 0, tokens: 0, wasDocuments: 0, wasTokens: 0, back: 0, gone: 0, aboutDocuments: 0, aboutTokens: 0 };
      let spreadDocuments = 0;
      let spreadTokens = 0;
      for (const own of this.within(source)) {
        const was = facts.passing[own.name];
        let sum = 0, squares = 0, tokens = 0, tokenSquares = 0, back = 0, gone = 0;
        for (let i = 0; i < own.n; i += 1) {
          const change = own.before[i] - (own.counts[i] ? 1 : 0);
          if (!change) continue;
          if (change > 0) back += 1;
          else gone += 1;
          const size = own.tokens[i];
          sum += change;
          squares += 1;
          tokens += change * size;
          tokenSquares += size * size;
        }
        result.wasDocuments += was.documents;
        result.wasTokens += was.tokens;
        result.documents += was.documents + sum * own.scale;
        result.tokens += was.tokens + tokens * own.scale;
        result.back += back * own.scale;
        result.gone += gone * own.scale;
        if (own.n < own.judged && squares === 0 && this.movedIn(own)) {
          // Not one of n changed: with 95% confidence fewer than 3 in n of all did.
          spreadDocuments += ((3 * own.scale) / 1.96) ** 2;
          spreadTokens += ((3 * own.scale * was.tokens) / Math.max(1, was.documents) / 1.96) ** 2;
        } else if (own.n > 1 && own.n < own.judged) {
          const factor = (own.judged * own.judged * (1 - own.n / own.judged)) / own.n / (own.n - 1);
          spreadDocuments += factor * (squares - (sum * sum) / own.n);
          spreadTokens += factor * (tokenSquares - (tokens * tokens) / own.n);
        }
      }
      result.aboutDocuments = 1.96 * Math.sqrt(spreadDocuments);
      result.aboutTokens = 1.96 * Math.sqrt(spreadTokens);
      return result;
    }

    // What one rule breaks now, and what it alone breaks, in documents (scaled up).
    breaks(rule, source) {
      let broken = 0;
      let alone = 0;
      for (const own of this.within(source)) {
        const bits = own.broken.get(rule);
        if (!bits) continue;
        let here = 0;
        let only = 0;
        for (let i = 0; i < own.n; i += 1) {
          if (!bits[i]) continue;
          here += 1;
          if (own.counts[i] === 1) only += 1;
        }
        broken += here * own.scale;
        alone += only * own.scale;
      }
      return { broken, alone };
    }
  }

  const bend = { linear: (x) => x, symlog: (x) => Math.sign(x) * Math.log1p(Math.abs(x)) };
  const unbend = { linear: (x) => x, symlog: (x) => Math.sign(x) * Math.expm1(Math.abs(x)) };
  const tidy = (x) => (x === 0 ? 0 : Number(x.toPrecision(4)));

  // The range and the bend of a signal's axis, from all its values and limits.
  function reach(sample, signal, rules) {
    let low = Infinity, high = -Infinity, whole = true, missing = 0;
    const some = [];
    for (const own of sample.sources) {
      const column = own.columns[signal];
      if (!column || !rules.some((rule) => own.rules.includes(rule))) continue;
      for (let i = 0; i < own.n; i += 1) {
        const value = column.values[i];
        if (Number.isNaN(value)) missing += 1;
        if (!Number.isFinite(value)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
        if (whole && !Number.isInteger(value)) whole = false;
        if (i % 7 === 0) some.push(value);
      }
    }
    for (const rule of rules) for (const limit of Object.values(sample.rules[rule].limits)) {
      if (limit < low) low = limit;
      if (limit > high) high = limit;
      if (!Number.isInteger(limit)) whole = false;
    }
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - (whole ? 1 : 0.5), high + (whole ? 1 : 0.5)];
    some.sort((a, b) => a - b);
    const middle = some.length ? some[Math.floor(some.length / 2)] : 0;
    const scale = low >= 0 && high > 10 && high > 12 * Math.max(1, middle) ? "symlog" : low >= 0 && high > 1000 && high > 8 * middle ? "symlog" : "linear";
    return { low, high, whole, scale, missing };
  }

  // Where a bent axis has its ticks: 0, 1, 10, 100, and between them where there is room.
  function decades({ low, high }) {
    const steps = high > 2000 ? [1] : [1, 3];
    const ticks = [0];
    for (let power = 1; power <= high; power *= 10) ticks.push(...steps.map((step) => step * power));
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  function bins(sample, signal, rules, range, source) {
    const { scale, whole } = range;
    const forward = bend[scale];
    const from = forward(range.low);
    const unit = whole && scale === "linear" && range.high - range.low < 40;
    const many = unit ? range.high - range.low + 1 : 40;
    const to = unit ? range.high + 1 : forward(range.high);
    const step = (to - from) / many || 1;
    const counts = { kept: new Float64Array(many), this: new Float64Array(many), others: new Float64Array(many) };
    let missing = 0;
    for (const own of sample.within(source)) {
      const column = own.columns[signal];
      const here = rules.filter((rule) => own.rules.includes(rule));
      if (!column || !here.length) continue;
      const bits = here.map((rule) => own.broken.get(rule));
      for (let i = 0; i < own.n; i += 1) {
        const value = column.values[i];
        if (Number.isNaN(value)) {
          missing += own.scale;
          continue;
        }
        const place = Math.max(0, Math.min(many - 1, Math.floor((forward(value) - from) / step)));
        const kind = !own.counts[i] ? "kept" : bits.some((one) => one[i]) ? "this" : "others";
        counts[kind][place] += own.scale;
      }
    }
    const rows = { kept: [], dropped: [] };
    const edge = (place) => unbend[scale](from + place * step);
    for (let place = 0; place < many; place += 1) {
      const [left, right] = [edge(place), edge(place + 1)];
      const put = (set, label, low, n) => n && rows[set].push({ left, right, low, high: low + n, n: Math.round(n), label: say(label) });
      put("kept", "hist_kept", 0, counts.kept[place]);
      put("dropped", "hist_this", 0, counts.this[place]);
      put("dropped", "hist_others", counts.this[place], counts.others[place]);
    }
    // Both ends stand on the axis even where no bar does.
    for (const end of [edge(0), edge(many)]) rows.kept.push({ left: end, right: end, low: 0, high: 0, n: 0, label: say("hist_kept") });
    return { rows, missing };
  }

  async function limits() {
    const header = facts.sample;
    const numeric = facts.rules.map((rule, number) => ({ rule, number })).filter(({ rule }) => rule.run && Object.keys(rule.limits).length);
    const says = byId("sample-says");
    if (!numeric.length) {
      says.textContent = say(facts.recorded ? "no_limits" : "rules_not_recorded");
      byId("scenario").hidden = true;
      return;
    }
    says.textContent = say(header.documents === header.judged ? "sample_whole" : "sample_part", { documents: count(header.documents), judged: count(header.judged) });
    let bytes;
    try {
      bytes = await unpacked();
    } catch (error) {
      says.textContent = say("no_streams");
      byId("scenario").hidden = true;
      return;
    }
    const sample = new Sample(bytes, header, facts.rules);
    let source = null;
    const cards = [];
    const signals = [...new Set(numeric.map(({ rule }) => rule.signal))];
    const weight = (signal) => numeric.filter(({ rule }) => rule.signal === signal).reduce((sum, { rule }) => sum + summed(rule.broken, "documents"), 0);
    signals.sort((a, b) => weight(b) - weight(a));

    const keeps = (now) => {
      const about = (width) => (width > 0 ? ` ± ${brief(Math.ceil(width))}` : "");
      return {
        main: say("keeps", { documents: count(Math.round(now.documents)) + about(now.aboutDocuments), tokens: count(Math.round(now.tokens)) + about(now.aboutTokens) }),
        change: say("keeps_change", { documents: signed(Math.round(now.documents) - now.wasDocuments), tokens: signed(Math.round(now.tokens) - now.wasTokens), back: count(Math.round(now.back)), gone: count(Math.round(now.gone)) }),
      };
    };

    const bar = byId("scenario");
    const pick = el("select", { id: "limits-source" }, el("option", { value: "" }, say("all_sources")), ...sources.map((name) => el("option", { value: name }, shown(name).textContent)));
    const output = el("output", { id: "passing", for: "limits-source" });
    const reset = el("button", { type: "button", class: "reset", disabled: true }, say("reset_all"));
    bar.append(el("label", {}, `${say("source")} `, pick), output, reset);
    bar.after(el("ul", { class: "legend" }, ...["kept", "this", "others"].map((kind) => el("li", {}, el("span", { class: `swatch ${kind}` }), say(`hist_${kind}`))),
      el("li", {}, el("span", { class: "swatch line" }), say("hist_limit"))));

    function showScenario() {
      const now = sample.passing(source);
      const told = keeps(now);
      output.replaceChildren(el("strong", {}, told.main), el("small", {}, sample.moved ? told.change : say("as_built")));
      output.dataset.documents = Math.round(now.documents);
      output.dataset.tokens = Math.round(now.tokens);
      reset.disabled = !sample.moved;
      return told;
    }

    function refresh(only = null) {
      const told = showScenario();
      for (const card of cards) {
        if (only !== null && card !== only && !card.visible()) {
          card.stale = true;
          continue;
        }
        card.show(told);
      }
    }

    for (const signal of signals) {
      const own = numeric.filter(({ rule }) => rule.signal === signal);
      const range = reach(sample, signal, own.map(({ number }) => number));
      const holder = el("div", { class: "chart", role: "img", "aria-label": say("chart_signal_of", { signal }) });
      const missing = el("p", {});
      const node = el("article", { class: "card", id: `signal-${signal}`, tabindex: "-1", "aria-label": signal },
        el("h3", {}, shown(signal)), own[0].rule.meaning ? el("p", { lang: "en" }, shown(own[0].rule.meaning)) : null, holder, missing);
      const knobs = [];
      for (const { rule, number: at } of own) {
        const field = el("fieldset", { class: "limit" }, el("legend", {}, code(rule.name), el("small", { lang: "en" }, shown(rule.why))));
        const verdict = el("output", { class: "verdict", "aria-live": "polite" });
        for (const [key, limit] of Object.entries(rule.limits)) {
          const id = `limit-${at}-${key}`;
          const forward = bend[range.scale];
          const span = forward(range.high) - forward(range.low);
          const toPlace = (value) => Math.max(0, Math.min(1000, Math.round((1000 * (forward(value) - forward(range.low))) / span)));
          const toValue = (place) => {
            if (place === toPlace(limit)) return limit;
            const value = unbend[range.scale](forward(range.low) + (place / 1000) * span);
            return range.whole ? Math.round(value) : tidy(value);
          };
          const slider = el("input", { type: "range", id, min: "0", max: "1000", step: "1", "data-rule": rule.name, "data-key": key });
          const exact = el("input", { type: "number", step: "any", "aria-label": `${rule.name} ${say(`limit_${key}`)}`, "data-rule": rule.name, "data-key": key });
          const back = el("button", { type: "button", class: "reset", title: say("reset_to", { limit: number(limit) }), "aria-label": say("reset_to", { limit: number(limit) }) }, "↺");
          const put = (value, from) => {
            sample.set(at, key, value);
            if (from !== slider) slider.value = String(toPlace(value));
            if (from !== exact) exact.value = String(value);
            slider.setAttribute("aria-valuetext", `${SIGNS[key]} ${number(value)}`);
            back.disabled = value === limit;
          };
          slider.addEventListener("input", () => { put(toValue(Number(slider.value)), slider); refresh(card); });
          exact.addEventListener("input", () => {
            if (exact.value === "" || !Number.isFinite(exact.valueAsNumber)) return;
            put(exact.valueAsNumber, exact);
            refresh(card);
          });
          back.addEventListener("click", () => { put(limit, null); refresh(card); });
          put(limit, null);
          knobs.push(() => put(limit, null));
          field.append(el("div", { class: "knob" }, el("label", { for: id }, say(`limit_${key}`)), slider, exact, back));
        }
        field.append(verdict);
        node.append(field);
        knobs.push({ rule, at, field, verdict });
      }
      const card = {
        node, stale: false,
        reset: () => knobs.forEach((one) => typeof one === "function" && one()),
        visible: () => {
          const box = node.getBoundingClientRect();
          return node.offsetParent !== null && box.bottom > -200 && box.top < window.innerHeight + 200;
        },
        show: (told) => {
          card.stale = false;
          const inSource = own.filter(({ rule }) => source === null || rule.sources.includes(source));
          node.hidden = !inSource.length;
          if (!inSource.length) return;
          const binned = bins(sample, signal, inSource.map(({ number }) => number), range, source);
          const lines = inSource.flatMap(({ number }) => Object.values(sample.limits[number]).map((value) => ({ value })));
          chart(holder, "signal", { ...binned.rows, limits: lines }, { scale: range.scale, ticks: range.scale === "symlog" ? decades(range) : null });
          missing.textContent = binned.missing ? say("without_value", { documents: count(Math.round(binned.missing)) }) : "";
          for (const one of knobs) {
            if (typeof one === "function") continue;
            one.field.hidden = !(source === null || one.rule.sources.includes(source));
            const breaks = sample.breaks(one.at, source);
            const moved = sample.ruleMoved(one.at);
            one.verdict.className = moved ? "verdict moved" : "verdict";
            one.verdict.replaceChildren(told.main, el("small", {}, `${moved ? `${told.change} ` : ""}${say("rule_breaks", { broken: count(Math.round(breaks.broken)), alone: count(Math.round(breaks.alone)) })}`));
          }
        },
      };
      cards.push(card);
      byId("cards").append(node);
    }
    pick.addEventListener("change", () => { source = pick.value || null; refresh(); });
    reset.addEventListener("click", () => { cards.forEach((card) => card.reset()); refresh(); });
    const catchUp = () => {
      if (!cards.some((card) => card.stale && card.visible())) return;
      const told = keeps(sample.passing(source));
      for (const card of cards) if (card.stale && card.visible()) card.show(told);
    };
    window.addEventListener("scroll", catchUp, { passive: true });
    window.addEventListener("beforeprint", () => refresh());
    refresh();
    document.documentElement.dataset.limits = "ready";
  }

  // -------------------------------------------------------------------------------------------------------- documents

  function documents() {
    const samples = facts.samples.map((own) => {
      const characters = Array.from(own.text);
      return { ...own, characters, folded: characters.map((one) => one.toLowerCase()), plain: [own.id, own.source, own.url ?? "", own.verdict ?? "kept"].join(" ").toLowerCase() };
    });
    const verdicts = [...new Set(samples.map((one) => one.group))];
    const choose = el("select", { id: "by-verdict" }, el("option", { value: "" }, say("all_verdicts")),
      ...verdicts.map((name) => el("option", { value: name }, say("of_build", { verdict: name === "kept" ? say("fate_kept") : shown(name).textContent, documents: count(facts.verdicts[name] ?? 0) }))));
    const from = el("select", { id: "by-source" }, el("option", { value: "" }, say("all_sources")), ...[...new Set(samples.map((one) => one.source))].map((name) => el("option", { value: name }, shown(name).textContent)));
    const search = el("input", { type: "search", id: "search", autocomplete: "off", spellcheck: "false", placeholder: say("search_hint") });
    byId("filters").append(el("label", {}, say("verdict"), choose), el("label", {}, say("source"), from), el("label", { class: "wide" }, say("search"), search));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    const STEP = 25;
    let most = STEP;

    function places(own, query) {
      const found = [];
      for (let start = 0; start + query.length <= own.folded.length; start += 1) {
        let same = 0;
        while (same < query.length && own.folded[start + same] === query[same]) same += 1;
        if (same === query.length) {
          found.push([start, start + same]);
          start += same - 1;
        }
      }
      return found;
    }
    function card(own, hits) {
      const text = el("div", { class: "text", dir: "auto", tabindex: "0", role: "group", "aria-label": say("text_of", { id: shown(own.id).textContent }) });
      const style = new Array(own.characters.length).fill(null);
      for (const [start, end] of own.marks) for (let i = start; i < Math.min(end, style.length); i += 1) style[i] = "mark";
      for (const [start, end] of hits) for (let i = start; i < end; i += 1) style[i] = "found";
      append(text, own.characters, (place) => style[place]);
      const broken = own.broken.map((one) => {
        const value = typeof one.value === "number" ? number(one.value) : one.found ?? say("no_value");
        return el("li", {}, code(one.rule), ": ", code(one.signal), " = ", shown(value), one.limit ? ` (${say("kept_when")} ` : null, one.limit ? shown(one.limit) : null, one.limit ? ")" : null);
      });
      return el("article", { class: `document ${fateOf(own.verdict ?? "kept")}` },
        el("h3", {}, own.verdict ? shown(own.verdict) : say("fate_kept")),
        el("p", { class: "from" }, code(own.id), own.url ? " · " : null, own.url ? shown(own.url) : null),
        own.verdict_note ? el("p", { class: "from", lang: "en" }, shown(own.verdict_note)) : null,
        broken.length ? el("ul", {}, ...broken) : null,
        own.offset ? el("p", { class: "cut" }, say("before", { characters: count(own.offset) })) : null, text,
        own.cut - (own.offset ?? 0) ? el("p", { class: "cut" }, say("cut", { characters: count(own.cut - (own.offset ?? 0)) })) : null);
    }
    function show() {
      const query = Array.from(search.value.trim()).map((one) => one.toLowerCase());
      const found = [];
      for (const own of samples) {
        if ((choose.value && own.group !== choose.value) || (from.value && own.source !== from.value)) continue;
        const hits = query.length ? places(own, query) : [];
        if (query.length && !hits.length && !own.plain.includes(query.join(""))) continue;
        found.push([own, hits]);
      }
      byId("samples").replaceChildren(...found.slice(0, most).map(([own, hits]) => card(own, hits)));
      byId("found").textContent = say("found", { found: count(found.length), all: count(samples.length) });
      byId("more").hidden = found.length <= most;
    }
    let typing = 0;
    const again = () => { most = STEP; show(); };
    choose.addEventListener("change", again);
    from.addEventListener("change", again);
    search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(again, 120); });
    byId("more").addEventListener("click", () => { most += STEP; show(); });
    show();
  }

  // ------------------------------------------------------------------------------------------------------- duplicates

  function duplicates() {
    const living = sources.filter((name) => stats.sources[name].removal && "living" in stats.sources[name].removal);
    if (!living.length) {
      byId("table-removal").replaceChildren(el("p", { class: "count" }, say("not_asked")));
      for (const id of ["chart-clusters", "largest"]) byId(id).replaceChildren(el("p", { class: "count" }, say("nothing")));
    } else {
      const kinds = ["exact", "url", "near"];
      const of = (name) => stats.sources[name].removal;
      const all = (kind) => living.reduce((sum, name) => sum + (of(name)[kind] ?? 0), 0);
      const gone = (name) => kinds.reduce((sum, kind) => sum + (of(name)[kind] ?? 0), 0);
      table(byId("table-removal"),
        [{ label: say("source") }, { label: say("living") }, ...kinds.map((kind) => ({ label: say(`duplicate_${kind}`) })), { label: say("removed") }, { label: say("of_living") }],
        living.map((name) => [{ value: name, node: code(name) }, cellOf(of(name).living), ...kinds.map((kind) => cellOf(of(name)[kind] ?? 0)), cellOf(gone(name)), { value: of(name).living ? gone(name) / of(name).living : 0, text: share(gone(name), of(name).living) }]),
        { total: [{ node: say("all_sources") }, cellOf(all("living")), ...kinds.map((kind) => cellOf(all(kind))), cellOf(living.reduce((sum, name) => sum + gone(name), 0)), { text: share(living.reduce((sum, name) => sum + gone(name), 0), all("living")) }] });
      const sizes = Object.entries(stats.duplicates.sizes ?? {}).map(([size, n]) => [Number(size), n]).sort((a, b) => a[0] - b[0]);
      if (sizes.length) chart(byId("chart-clusters"), "clusters", { clusters: grouped(sizes) });
      else byId("chart-clusters").replaceChildren(el("p", { class: "count" }, say("nothing")));
      const largest = stats.duplicates.largest ?? [];
      byId("largest").replaceChildren(...(largest.length ? largest.map(cluster) : [el("p", { class: "count" }, say("nothing"))]));
      if (stats.duplicates.members_not_fully_compared) {
        byId("largest").append(el("p", { class: "note" }, say("not_compared", { documents: count(stats.duplicates.members_not_fully_compared) })));
      }
    }
    for (const name of sources) {
      const own = stats.sources[name].repeats;
      if (!own || !own.removed) continue;
      byId("repeats").append(el("h3", {}, say("repeats_title", { source: name })),
        el("p", { class: "lead" }, say("repeats_say", { removed: count(own.removed), kinds: count(own.kinds), documents: count(own.documents), bytes: megabytes(own.bytes) })),
        el("div", { class: "scroll" }));
      table(byId("repeats").lastChild, [{ label: say("piece") }, { label: say("documents") }], own.most.map((piece) => [{ value: piece.text, node: shown(piece.text) }, cellOf(piece.documents)]), { sort: 1 });
    }
  }
  // Sizes 2 to 10 for themselves, larger ones by powers of two.
  function grouped(sizes) {
    const rows = new Map();
    for (const [size, n] of sizes) {
      const low = size <= 10 ? size : 2 ** Math.floor(Math.log2(size));
      const from = size <= 10 ? size : Math.max(11, low);
      const key = size <= 10 ? count(size) : `${brief(from)}–${brief(2 * low - 1)}`;
      rows.set(key, (rows.get(key) ?? 0) + n);
    }
    return [...rows].map(([size, clusters]) => ({ size, clusters }));
  }
  function cluster(own) {
    const texts = facts.clusters[own.stays] ?? [];
    const read = new Set(texts.map((one) => one.id));
    const others = [...texts.slice(1), ...(own.others ?? []).filter((one) => !read.has(one.id))];
    const left = Object.entries(own.left ?? {}).map(([name, n]) => `${name} ${count(n)}`).join(", ");
    return el("article", { class: "document duplicates" },
      el("h3", {}, say("cluster_of", { documents: count(own.documents), near: count(own.near ?? 0) })),
      el("p", { class: "from" }, say("stays"), " ", code(own.stays), left ? ` · ${say("left")} ` : null, left ? shown(left) : null),
      textOf(texts.length ? texts[0].text : own.text), cutOf(texts[0]),
      others.length ? el("details", {}, el("summary", {}, say("others", { n: count(others.length) })), ...others.map((one) => el("div", {}, el("p", { class: "from" }, code(one.id)), textOf(one.text), cutOf(one)))) : null);
  }
  const cutOf = (one) => (one && one.cut ? el("p", { class: "cut" }, say("cut", { characters: count(one.cut) })) : null);
  function textOf(text) {
    const node = el("div", { class: "text", dir: "auto" });
    append(node, Array.from(text), () => null);
    return node;
  }

  // ------------------------------------------------------------------------------------------------------- evaluation

  function evaluation() {
    const sets = Object.entries(stats.evaluation.sets ?? {});
    if (!sets.length) {
      byId("table-sets").replaceChildren(el("p", { class: "count" }, say("not_asked")));
      for (const id of ["table-met", "table-hits"]) byId(id).replaceChildren();
      for (const node of document.querySelectorAll("#evaluation h3")) node.hidden = true;
      return;
    }
    table(byId("table-sets"), [{ label: say("evaluation_set") }, { label: say("items") }, { label: say("items_found") }, { label: say("items_found_share") }, { label: say("unprotected") }, { label: say("dropped_documents") }],
      sets.map(([name, own]) => [{ value: name, node: code(name) }, cellOf(own.items), cellOf(own.found), { value: own.items ? own.found / own.items : 0, text: share(own.found, own.items) }, cellOf(own.unprotected),
        cellOf(total((one) => one.dropped[`decontaminate.${name}`] ?? 0))]), { sort: 2 });
    table(byId("table-met"), [{ label: say("source") }, { label: say("with_items") }, { label: say("with_contexts") }, { label: say("dropped_documents") }],
      sources.map((name) => [{ value: name, node: code(name) }, cellOf(stats.sources[name].evaluation.items ?? 0), cellOf(stats.sources[name].evaluation.contexts ?? 0), cellOf(fates[name].contaminated.documents)]));
    byId("hits-say").textContent = say("hits_say", { hits: count(facts.hits.total), documents: count(facts.hits.documents ?? 0), shown: count(facts.hits.rows.length) });
    if (facts.hits.rows.length) {
      table(byId("table-hits"), [{ label: say("document") }, { label: say("source") }, { label: say("item") }, { label: say("verdict"), words: true }],
        facts.hits.rows.map(([id, source, item, verdict]) => [{ value: id, node: code(id) }, { value: source, node: code(source) }, { value: item, node: code(item) }, { value: verdict ?? "", node: verdict ? code(verdict) : say("fate_kept") }]));
    } else byId("table-hits").replaceChildren();
  }

  // -------------------------------------------------------------------------------------------------------------- mix

  function mix() {
    const kinds = ["asked", "available", "taken"];
    const amounts = (name) => ({ asked: facts.mix[name].asked_tokens, available: facts.mix[name].available_tokens, taken: stats.sources[name].taken.tokens });
    chart(byId("chart-mix"), "mix", { mix: sources.flatMap((name) => kinds.map((kind) => ({ source: name, kind: say(`mix_${kind}`), tokens: amounts(name)[kind] }))) });
    const taken = total((one) => one.taken.tokens);
    const sum = (kind) => sources.reduce((all, name) => all + amounts(name)[kind], 0);
    table(byId("table-mix"),
      [{ label: say("source") }, ...kinds.map((kind) => ({ label: say(`mix_${kind}`) })), { label: say("mix_share") }, { label: say("epochs") }, { label: say("documents") }, { label: say("held_out") }],
      sources.map((name) => [{ value: name, node: code(name) }, ...kinds.map((kind) => cellOf(amounts(name)[kind])), { value: taken ? amounts(name).taken / taken : 0, text: share(amounts(name).taken, taken) },
        { value: stats.sources[name].taken.epochs, text: fixed(stats.sources[name].taken.epochs, 2) }, cellOf(stats.sources[name].taken.documents), cellOf(facts.mix[name].heldout_tokens)]),
      { total: [{ node: say("all_sources") }, ...kinds.map((kind) => cellOf(sum(kind))), { text: share(taken, taken) }, { text: "" }, cellOf(total((one) => one.taken.documents)), cellOf(sources.reduce((all, name) => all + facts.mix[name].heldout_tokens, 0))] });
    const rows = sources.filter((name) => facts.density[name] && stats.sources[name].tokens_per_character !== null)
      .map((name) => ({ source: name, all: stats.sources[name].tokens_per_character, low: facts.density[name].low, high: facts.density[name].high }));
    if (rows.length) chart(byId("chart-density"), "density", { density: rows });
    table(byId("table-density"),
      [{ label: say("source") }, { label: say("tokens_per_character") }, { label: say("density_low") }, { label: say("density_middle") }, { label: say("density_high") }, { label: say("bytes_per_token") }, { label: say("characters") }, { label: say("tokens") }],
      sources.map((name) => {
        const own = facts.density[name] ?? {};
        const one = stats.sources[name];
        return [{ value: name, node: code(name) }, { value: one.tokens_per_character ?? 0, text: fixed(one.tokens_per_character, 3) }, ...["low", "middle", "high"].map((key) => ({ value: own[key] ?? 0, text: fixed(own[key], 3) })),
          { value: one.bytes_per_token ?? 0, text: fixed(one.bytes_per_token, 2) }, cellOf(one.kept.characters), cellOf(one.kept.tokens)];
      }));
    const train = stats.shards.train;
    const report = facts.packing.report;
    definitions(byId("packing"), [
      [say("packing"), shown(facts.packing.method)], [say("rows"), count(train.rows)], [say("row_length"), count(stats.sequence_length)],
      [say("fill"), train.rows ? (train.tokens / (train.rows * stats.sequence_length)).toLocaleString(language, { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2 }) : "–"],
      [say("pieces_a_row"), train.rows ? fixed((report.pieces ?? 0) / train.rows, 2) : "–"],
      [say("short_documents"), count(report.short_documents ?? 0)], [say("short_cut"), count(report.short_documents_cut ?? 0)], [say("short_cut_concat"), count(report.short_documents_cut_by_concat ?? 0)],
      [say("train_shards"), say("shards_say", { files: count(train.files), tokens: count(train.tokens) })], [say("validation_shards"), say("shards_say", { files: count(stats.shards.validation.files), tokens: count(stats.shards.validation.tokens) })],
    ]);
  }

  // ----------------------------------------------------------------------------------------------------- run and origin

  function run() {
    chart(byId("chart-stages"), "stages", { stages: facts.stages.map((own) => ({ stage: own.stage, seconds: own.cpu_seconds || own.seconds })) });
    table(byId("table-stages"), [{ label: say("stage") }, { label: say("tasks") }, { label: say("seconds") }, { label: say("cpu_seconds") }, { label: say("text_bytes") }, { label: say("throughput") }, { label: say("peak_memory") }],
      facts.stages.map((own) => [{ value: own.stage, node: code(own.stage) }, cellOf(own.tasks), { value: own.seconds, text: fixed(own.seconds, 1) }, { value: own.cpu_seconds, text: fixed(own.cpu_seconds, 1) },
        { value: own.bytes, text: own.bytes ? megabytes(own.bytes) : "–" }, { value: own.bytes && own.cpu_seconds ? own.bytes / own.cpu_seconds : 0, text: own.bytes && own.cpu_seconds ? fixed(own.bytes / own.cpu_seconds / 1e6, 1) : "–" },
        { value: own.memory, text: megabytes(own.memory) }]),
      { total: [{ node: say("all_stages") }, cellOf(facts.stages.reduce((a, own) => a + own.tasks, 0)), { text: fixed(facts.stages.reduce((a, own) => a + own.seconds, 0), 1) }, { text: fixed(facts.stages.reduce((a, own) => a + own.cpu_seconds, 0), 1) },
        { text: "" }, { text: "" }, { text: megabytes(stats.peak_memory_bytes) }] });
  }
  function origin() {
    byId("sources").replaceChildren(...facts.provenance.map((own) => {
      const list = el("dl", { class: "facts" });
      definitions(list, [
        [say("kind"), own.kind ? shown(own.kind) : "–"], [say("address"), own.address ? code(own.address) : "–"], [say("revision"), own.revision ? code(own.revision) : "–"],
        [say("license"), own.license ? shown(own.license) : say("license_unknown")], [say("wanted_language"), own.language ? shown(own.language) : say("any_language")],
        [say("inputs"), shown(own.inputs.join(", ") + (own.more_inputs ? ` … ${say("more_inputs", { n: count(own.more_inputs) })}` : ""))],
      ]);
      return el("div", { class: "origin" }, el("h3", {}, code(own.source)), list, ...own.notes.map((note) => el("p", { class: "note", lang: "en" }, shown(note))));
    }));
    definitions(byId("versions"), Object.entries(facts.versions).map(([name, version]) => [name, shown(version)]));
    append(byId("yaml"), Array.from(facts.yaml), () => null);
  }

  head();
  const openTab = tabs();
  funnel();
  ruleTable(openTab);
  documents();
  duplicates();
  evaluation();
  mix();
  run();
  origin();
  limits();
})();
