// How a reader looks at the maps, and the colours that follow from it.

// How they looked at a view when its page was left.
const rememberedViews = new Map();

/** How a view is looked at, at first with scales of their `own` or a shared one; for `undo`, `past` has what was drawn before and `told` what the server knows is drawn. */
function lookOf(key, own) {
  if (!rememberedViews.has(key)) {
    const shown = { opacity: 0.55, threshold: 0, own, smooth: true, whole: false, hidden: false };
    rememberedViews.set(key, { ...shown, palettes: {}, tool: "point", radius: null, past: [], told: null });
  }
  return rememberedViews.get(key);
}

/** Of the palettes offered the one that was chosen while the first of them was the first, or that one. */
function chosenPalette(palettes, look) {
  const names = palettes.map(([name]) => name);
  const asked = look.palettes[names[0]];
  const palette = names.includes(asked) ? asked : names[0];
  return { names, palette, colors: paletteColors(palettes[names.indexOf(palette)][1]) };
}

/** The least value that has a colour. */
function leastColoured([, high], threshold) {
  return threshold > 0 ? threshold * high : -Infinity;
}

/** Shows a scale at a colour bar; what is below the threshold is left empty. */
function showScale(bar, colors, [low, high], threshold, words) {
  const least = leastColoured([low, high], threshold);
  bar.paint((fraction) => (low + fraction * (high - low) < least ? 0 : colors[Math.round(fraction * 255)]));
  bar.label(low, [low < 0 ? "0" : "", words].filter(Boolean).join(" \u00b7 "), high);
}
