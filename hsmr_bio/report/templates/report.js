"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(atob(data.positions), (c) => c.charCodeAt(0));
  const mm = new Int16Array(bytes.buffer);
  const frames = data.times.length;
  const stride = data.joints * 3;
  const byId = (id) => document.getElementById(id);
  const canvas = byId("view"), play = byId("play"), slider = byId("time"), clock = byId("clock");
  const speed = byId("speed"), follow = byId("follow"), overlay = byId("overlay");
  const paint = canvas.getContext("2d");
  const cursors = Array.from(document.querySelectorAll(".cursor"));
  const colours = {};
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const [key, name] of [["r", "--right"], ["l", "--left"], ["c", "--middle"], ["grid", "--line"], ["ink", "--soft"]]) {
      colours[key] = style.getPropertyValue(name).trim();
    }
  };
  let yaw = -0.7, pitch = 0.18, zoom = 1, frame = 0, playing = frames > 1, stamp = null, offset = 0;

  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < mm.length; i += 1) {
    const axis = i % 3, value = mm[i] / 1000;
    if (value < low[axis]) low[axis] = value;
    if (value > high[axis]) high[axis] = value;
  }
  const middle = low.map((value, axis) => (value + high[axis]) / 2);
  const height = Math.max(high[1] - low[1], 0.5);
  const extent = Math.max(height, high[0] - low[0], high[2] - low[2]);
  follow.checked = extent > 1.6 * height;

  const target = () => {
    const at = frame * stride;
    if (!follow.checked) return middle;
    return [mm[at] / 1000, middle[1], mm[at + 2] / 1000];
  };

  const resize = () => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(Math.round(canvas.clientWidth * ratio), 1);
    canvas.height = Math.max(Math.round(canvas.clientHeight * ratio), 1);
  };

  const projector = () => {
    const [tx, ty, tz] = target();
    const cy = Math.cos(yaw), sy = Math.sin(yaw), cp = Math.cos(pitch), sp = Math.sin(pitch);
    const size = follow.checked ? height : extent;
    const distance = 2.6 * size / zoom;
    const focal = 1.9 * Math.min(canvas.width, canvas.height);
    return (x, y, z) => {
      const dx = x - tx, dy = y - ty, dz = z - tz;
      const u = cy * dx + sy * dz, w = -sy * dx + cy * dz;
      const v = cp * dy - sp * w, depth = distance - (sp * dy + cp * w);
      if (depth < 0.05 * distance) return null;
      return [canvas.width / 2 + focal * u / depth, canvas.height / 2 - focal * v / depth, depth / distance];
    };
  };

  const line = (a, b, colour, width) => {
    if (!a || !b) return;
    paint.strokeStyle = colour;
    paint.lineWidth = width;
    paint.beginPath();
    paint.moveTo(a[0], a[1]);
    paint.lineTo(b[0], b[1]);
    paint.stroke();
  };

  const drawFloor = (project) => {
    const [tx, , tz] = target();
    const cells = Math.ceil(Math.max(extent, 2) / 0.5) + 2;
    const x0 = Math.round(tx / 0.5) * 0.5, z0 = Math.round(tz / 0.5) * 0.5, reach = cells * 0.5;
    for (let i = -cells; i <= cells; i += 1) {
      const x = x0 + i * 0.5, z = z0 + i * 0.5;
      line(project(x, data.floor, z0 - reach), project(x, data.floor, z0 + reach), colours.grid, 1);
      line(project(x0 - reach, data.floor, z), project(x0 + reach, data.floor, z), colours.grid, 1);
    }
    line(project(0, data.floor, 0), project(0.5, data.floor, 0), colours.ink, 3);
  };

  const draw = () => {
    paint.clearRect(0, 0, canvas.width, canvas.height);
    paint.lineCap = "round";
    const project = projector();
    drawFloor(project);
    const at = frame * stride, points = [];
    for (let j = 0; j < data.joints; j += 1) {
      const i = at + 3 * j;
      const x = mm[i] / 1000, y = mm[i + 1] / 1000, z = mm[i + 2] / 1000;
      points.push(project(x, y, z));
    }
    const unit = Math.min(canvas.width, canvas.height) / 90;
    const bones = data.bones.map(([a, b, side]) => [points[a], points[b], side]).filter(([a, b]) => a && b);
    bones.sort((m, n) => n[0][2] + n[1][2] - m[0][2] - m[1][2]);
    for (const [a, b, side] of bones) line(a, b, colours[side], unit * 2 / (a[2] + b[2]));
    clock.textContent = data.times[frame].toFixed(2) + " s";
    slider.value = String(frame);
    const first = data.times[0], last = data.times[frames - 1];
    const share = last > first ? (data.times[frame] - first) / (last - first) : 0;
    const x = data.plot[0] + share * (data.plot[1] - data.plot[0]);
    for (const cursor of cursors) { cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); }
  };

  const frameAt = (time) => {
    let a = 0, b = frames - 1;
    while (a < b) {
      const m = (a + b + 1) >> 1;
      if (data.times[m] <= time) a = m; else b = m - 1;
    }
    return a;
  };

  const tick = (now) => {
    if (playing) {
      if (stamp === null) { stamp = now; offset = data.times[frame]; }
      let time = offset + (now - stamp) / 1000 * Number(speed.value);
      if (time > data.times[frames - 1] + 0.3) { stamp = now; offset = data.times[0]; time = offset; }
      const next = frameAt(time);
      if (next !== frame) { frame = next; draw(); }
    }
    window.requestAnimationFrame(tick);
  };

  const setPlaying = (value) => { playing = value; stamp = null; play.textContent = value ? "pause" : "play"; };
  play.addEventListener("click", () => setPlaying(!playing));
  slider.max = String(frames - 1);
  slider.addEventListener("input", () => { setPlaying(false); frame = Number(slider.value); draw(); });
  speed.addEventListener("change", () => { stamp = null; });
  follow.addEventListener("change", draw);
  overlay.addEventListener("change", () => {
    for (const svg of document.querySelectorAll(".overlay")) svg.classList.toggle("off", !overlay.checked);
  });

  let grip = null;
  canvas.addEventListener("pointerdown", (event) => { grip = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { grip = null; });
  canvas.addEventListener("pointercancel", () => { grip = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (!grip) return;
    yaw -= (event.clientX - grip[0]) * 0.008;
    pitch = Math.max(-1.5, Math.min(1.5, pitch + (event.clientY - grip[1]) * 0.008));
    grip = [event.clientX, event.clientY];
    draw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom = Math.max(0.2, Math.min(8, zoom * Math.exp(-event.deltaY * 0.001)));
    draw();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (turn) { yaw += turn[0]; pitch = Math.max(-1.5, Math.min(1.5, pitch + turn[1])); draw(); event.preventDefault(); }
    if (event.key === " ") { setPlaying(!playing); event.preventDefault(); }
  });

  const restart = () => { readColours(); resize(); draw(); };
  new ResizeObserver(restart).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restart);
  setPlaying(playing);
  restart();
  window.requestAnimationFrame(tick);
  document.documentElement.dataset.ready = String(frames);
})();
