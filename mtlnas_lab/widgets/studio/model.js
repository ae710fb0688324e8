// What anywidget would lend a page: a model that holds the state. Behind it is no kernel, but `send`, which gets the messages.
export const bytesFrom = text => new DataView(Uint8Array.from(atob(text || ""), c => c.charCodeAt(0)).buffer);

export function modelOf(state, send = () => {}) {
  const heard = {};
  return {get: name => state[name], send, save_changes() {},
    on(name, act) { (heard[name] ||= []).push(act); },
    off(name, act) { heard[name] = (heard[name] || []).filter(one => one !== act); },
    set(name, value) { state[name] = value; (heard[`change:${name}`] || []).forEach(act => act()); }};
}

// A page in a frame says how high it is, so that the frame needs no bar of its own.
if (window.parent !== window) {
  const tell = () => window.parent.postMessage({height: document.body.getBoundingClientRect().height}, "*");
  new ResizeObserver(tell).observe(document.body);
}
