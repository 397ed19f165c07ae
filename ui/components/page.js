// What both components need from the page around them: bytes, colours, numbers, elements.

const storedBytes = new Map();
const STORED_AT_MOST = 4;
const RETRY_MILLISECONDS = [300, 1000, 2000];

/** Address of the app's root, wherever a proxy or `server.baseUrlPath` put it. */
function appRoot() {
  const script = document.querySelector('script[src*="static/js/"]');
  return script ? new URL("../../", script.src) : new URL("./", document.baseURI);
}

function appUrl(path) {
  return new URL(path.replace(/^\/+/, ""), appRoot()).href;
}

/**
 * Asked for as a range, which no server compresses: the bytes hardly get smaller, and packing a million points takes
 * longer than sending them.
 */
async function download(url, digest) {
  const response = await fetch(appUrl(url), { credentials: "same-origin", headers: { Range: "bytes=0-" } });
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  const buffer = await response.arrayBuffer();
  const head = Array.from(new Uint8Array(buffer, 0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (head !== digest) throw new Error("The server answered with other data than was asked for.");
  return buffer;
}

/** The bytes behind a digest; fetched once and kept for the few latest digests. */
function fetchBytes(url, digest) {
  const request = storedBytes.get(digest) ?? download(url, digest);
  storedBytes.delete(digest);
  storedBytes.set(digest, request);
  request.catch(() => storedBytes.delete(digest));
  if (storedBytes.size > STORED_AT_MOST) storedBytes.delete(storedBytes.keys().next().value);
  return request;
}

/**
 * The bytes of all deliveries, however long it takes while they are `wanted`: a file may be missing until a later run
 * of the script lays it out again, and the server may be away. `worry` hears of it once that takes longer. Nothing once
 * they are not wanted any more.
 */
async function fetchPatiently(deliveries, wanted, worry) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await Promise.all(deliveries.map(({ url, digest }) => fetchBytes(url, digest)));
    } catch (reason) {
      if (tries >= RETRY_MILLISECONDS.length && wanted()) worry(reason);
      const pause = RETRY_MILLISECONDS[tries] ?? RETRY_MILLISECONDS.at(-1);
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (!wanted()) return [];
    }
  }
}

const plainNumber = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const smallNumber = new Intl.NumberFormat("en", { notation: "scientific", maximumSignificantDigits: 3 });
const wholeNumber = new Intl.NumberFormat("en");

/** Three significant digits, thousands separated, a true minus sign. */
function formatNumber(value) {
  if (!Number.isFinite(value)) return "none";
  const size = Math.abs(value);
  const format = size !== 0 && (size < 1e-3 || size >= 1e7) ? smallNumber : plainNumber;
  return format.format(value).replace("E", "e").replaceAll("-", "\u2212");
}

/** A new element. Text only ever becomes a text node. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** The theme's colour of that name, as the browser resolves it. */
function themeColor(node, name, fallback) {
  return getComputedStyle(node).getPropertyValue(name).trim() || fallback;
}

/** Calls `work` at most once per displayed frame. */
function oncePerFrame(work) {
  let frame = 0;
  const request = () => {
    if (!frame) {
      frame = requestAnimationFrame(() => {
        frame = 0;
        work();
      });
    }
  };
  request.cancel = () => {
    cancelAnimationFrame(frame);
    frame = 0;
  };
  return request;
}

/** Places a tooltip beside a point of its frame, inside the frame. */
function placeTip(tip, frame, x, y) {
  const room = frame.getBoundingClientRect();
  const left = x + 16 + tip.offsetWidth > room.width ? x - 12 - tip.offsetWidth : x + 16;
  const top = y + 16 + tip.offsetHeight > room.height ? y - 12 - tip.offsetHeight : y + 16;
  tip.style.transform = `translate(${Math.round(Math.max(0, left))}px, ${Math.round(Math.max(0, top))}px)`;
}

/**
 * The function Streamlit calls on mount and again whenever data or theme change. One view lives as long as its place
 * in the page, so a new run of the script neither rebuilds a canvas nor moves a scroll position.
 */
function mounted(View) {
  const views = new WeakMap();
  return ({ parentElement, data, setStateValue }) => {
    const root = parentElement.querySelector(".loupe");
    let view = views.get(parentElement);
    if (view && view.root !== root) {
      view.destroy();
      view = undefined;
    }
    if (!view) {
      view = new View(root);
      views.set(parentElement, view);
    }
    view.update(data, setStateValue);
    return () => {
      views.get(parentElement)?.destroy();
      views.delete(parentElement);
    };
  };
}
