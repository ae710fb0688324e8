// An element of a page; text is text only, never HTML.
export function make(kind, name, parent, text) {
  const one = document.createElement(kind);
  if (name) one.className = name;
  if (text !== undefined) one.textContent = text;
  parent?.append(one);
  return one;
}

// What is the same already is left alone: a page lays itself out anew for every word that is written.
export const put = (one, name, value) => { if (one[name] !== value) one[name] = value; };
