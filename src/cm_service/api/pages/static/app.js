// One launched page. Its token lives in this module alone: no storage, no cookie, no URL bears it.
(() => {
  "use strict";
  let token = document.body.dataset.token || "";
  document.body.removeAttribute("data-token");
  const main = document.getElementById("main");
  const users = "BroadcastChannel" in self ? new BroadcastChannel("cm-user") : null;
  let user = "";

  // Nothing here listens to messages of a parent or of any other window.

  const headers = () => ({ Authorization: `Bearer ${token}` });

  function say(text, kind) {
    let place = document.getElementById("trouble");
    if (!place) {
      place = document.createElement("p");
      place.id = "trouble";
      place.tabIndex = -1;
      main.prepend(place);
    }
    place.setAttribute("role", "alert");
    place.className = kind || "trouble";
    place.textContent = text;
    place.focus();
  }

  const fields = (form) => [...form.elements].filter((e) => e.name && e.type !== "hidden");
  const value = (e) => (e.type === "checkbox" || e.type === "radio" ? String(e.checked) : e.value);
  const before = (e) => {
    if (e.type === "checkbox" || e.type === "radio") return String(e.defaultChecked);
    if (e.tagName === "SELECT") return ([...e.options].find((o) => o.defaultSelected) || e.options[0] || {}).value;
    return e.defaultValue;
  };
  const key = (e) => [e.form.dataset.form, e.name, e.type === "radio" || e.type === "checkbox" ? e.value : ""].join("|");

  // What was typed into other forms survives a new part.
  function typed(except) {
    const kept = new Map();
    for (const form of main.querySelectorAll("form[data-form]")) {
      if (form === except) continue;
      for (const e of fields(form)) if (value(e) !== before(e)) kept.set(key(e), value(e));
    }
    return kept;
  }

  function put(kept) {
    for (const form of main.querySelectorAll("form[data-form]")) {
      for (const e of fields(form)) {
        if (!kept.has(key(e))) continue;
        if (e.type === "checkbox" || e.type === "radio") e.checked = kept.get(key(e)) === "true";
        else e.value = kept.get(key(e));
        for (let d = e.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
      }
    }
  }

  const LOOKS = { font_family_body: "--font", dim_border_radius: "--radius", dim_font_size: "--size" };
  function look(page) {
    if (!page || !page.dataset.style) return;
    for (const [name, given] of Object.entries(JSON.parse(page.dataset.style))) {
      if (LOOKS[name]) document.documentElement.style.setProperty(LOOKS[name], given);
    }
  }

  function show(html, except) {
    const kept = typed(except);
    const parsed = new DOMParser().parseFromString(html, "text/html");
    main.replaceChildren(...parsed.body.childNodes);
    put(kept);
    const page = main.querySelector(".page");
    look(page);
    user = (page && page.dataset.user) || user;
    if (users && user) users.postMessage(user);
    const notice = document.getElementById("notice");
    (notice && notice.textContent.trim() ? notice : main).focus();
  }

  // The session is over: what was typed stays to be copied, nothing can be sent any more.
  function ended() {
    token = "";
    for (const button of main.querySelectorAll("button:not([data-copy])")) button.disabled = true;
    const forms = typed(null).size;
    say(`This session has ended. ${forms ? "What you typed is still below: copy it, then open" : "Open"} the page again from the chart.`);
  }

  function gone(text) {
    token = "";
    main.replaceChildren();
    say(text, "gone");
  }

  async function trouble(response) {
    const problem = await response.json().catch(() => ({}));
    const places = (problem.errors || []).map((e) => `${e.at}: ${e.detail}`).join("; ");
    say([places ? "Please look again" : problem.detail || `It did not work (${response.status}).`, places].filter(Boolean).join(": "));
  }

  async function ask(url, options, form) {
    if (!token) return ended();
    const buttons = form ? [...form.querySelectorAll("button")] : [];
    for (const b of buttons) b.disabled = true;
    main.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(url, { ...options, headers: headers(), cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" });
      if (response.status === 401) return ended();
      if (!response.ok) return await trouble(response);
      if (response.status === 204) return gone("Signed out. Open the page again from the chart.");
      show(await response.text(), form);
    } catch {
      say("The service cannot be reached. Nothing was lost: try again.");
    } finally {
      main.removeAttribute("aria-busy");
      if (token) for (const b of buttons) b.disabled = false;
    }
  }

  function copy(button) {
    const text = document.getElementById(button.dataset.copy);
    text.hidden = false;
    text.select();
    const done = document.execCommand("copy");
    if (done) text.hidden = true;
    button.focus();
    const said = document.getElementById("notice");
    if (said) said.textContent = done ? "Copied as text." : "Select the text and copy it.";
  }

  // Away to another practice's sign-in: the token goes in the body, to our own site, and this page ends.
  function leave(form) {
    const away = document.createElement("form");
    away.method = "post";
    away.action = form.getAttribute("action");
    for (const [name, given] of [["emr", form.elements.emr.value], ["token", token]]) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      field.value = given;
      away.append(field);
    }
    document.body.append(away);
    away.submit();
    away.remove();
  }

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.dataset.join !== undefined) return token ? leave(form) : ended();
    const url = form.getAttribute("action");
    const data = new URLSearchParams(new FormData(form));
    if (form.dataset.get !== undefined) ask(`${url}?${data}`, { method: "GET" }, form);
    else ask(url, { method: "POST", body: data }, form);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.post) ask(button.dataset.post, { method: "POST", body: new URLSearchParams() });
    else if (button.dataset.get) ask(button.dataset.get, { method: "GET" });
    else if (button.dataset.end !== undefined) ask("/app/end", { method: "POST", body: new URLSearchParams() });
    else if (button.dataset.copy) copy(button);
  });

  document.addEventListener("change", (event) => {
    const name = event.target.dataset.all;
    if (!name) return;
    for (const box of event.target.form.querySelectorAll(`input[name="${name}"]`)) box.checked = event.target.checked;
  });

  // Each is "EMR|user", of a worklist several: the same person is at one of them the same, at none another.
  function same(mine, theirs) {
    const other = theirs.filter((each) => !mine.includes(each));
    const at = (each) => each.split("|")[0];
    return other.length < theirs.length && !other.some((each) => mine.some((own) => at(own) === at(each)));
  }

  // Somebody else opened a page in this browser: this one stops.
  if (users) {
    users.onmessage = (event) => {
      if (!user || !token || same(user.split(" "), String(event.data).split(" "))) return;
      fetch("/app/end", { method: "POST", headers: headers(), body: new URLSearchParams(), credentials: "omit" }).catch(() => {});
      gone("Somebody else has signed in. Open the page again from the chart.");
    };
  }

  // Back and forward never bring a patient back.
  addEventListener("pagehide", () => gone("Open the page again from the chart."));

  if (!main.querySelector("[data-post]")) ask("/app/part", { method: "GET" });
})();
