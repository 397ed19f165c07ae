// What lies over the points: the region, the chosen and the highlighted point, and the ringed one.

/** Draws a path in a colour with a rim of the ground's colour, so that it shows on any points. */
function outlined(context, ground, color, thick, path) {
  context.beginPath();
  path();
  context.lineJoin = "round";
  context.strokeStyle = ground;
  context.lineWidth = thick + 2;
  context.stroke();
  context.strokeStyle = color;
  context.lineWidth = thick;
  context.stroke();
}

/** `region`: corners on the stage, or nothing. */
function paintRegion(context, { accent, ground }, region) {
  if (!region || region.length < 2) return;
  const trace = () => {
    region.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
  };
  context.beginPath();
  trace();
  context.fillStyle = accent;
  context.globalAlpha = 0.06;
  context.fill();
  context.globalAlpha = 1;
  outlined(context, ground, accent, 1.5, trace);
}

function paintCircle(context, { ground }, [x, y], radius, color, thick) {
  outlined(context, ground, color, thick, () => context.arc(x, y, radius, 0, 2 * Math.PI));
}

/** The ring with its label, on whichever side there is room. */
function paintRing(context, theme, [x, y], label, width) {
  paintCircle(context, theme, [x, y], 9, theme.text, 2.5);
  if (!label) return;
  context.font = `600 12px ${theme.font}`;
  const right = x + 20 + context.measureText(label).width < width;
  const at = x + (right ? 16 : -16);
  context.textAlign = right ? "left" : "right";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.strokeStyle = theme.ground;
  context.strokeText(label, at, y);
  context.fillStyle = theme.text;
  context.fillText(label, at, y);
}
