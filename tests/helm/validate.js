// Holds Kubernetes objects against the API: reads {modules, objects: [...]} as JSON from standard input, prints one
// list of problems for each object. The models' own validators check types, required fields and formats, and pass
// over a field that the API does not have; which fields they looked at tells which they do not know.
'use strict';
const path = require('path');

// Where the package keeps the model of an object: apps/v1/Deployment, v1/Service, networking.k8s.io/v1/NetworkPolicy.
function load(modules, object) {
  const name = `${object.apiVersion}/${object.kind}`;
  if (!/^[a-z0-9./]+\/[A-Za-z]+$/.test(name)) throw new Error(`what is ${name}?`);
  const model = require(path.join(modules, 'kubernetes-models', name));
  return model[object.kind];
}

// A copy that notes which keys are read; `unread` lists those that nobody asked for.
function watched(value, at, unread) {
  if (value === null || typeof value !== 'object') return value;
  const read = new Set();
  const copy = Array.isArray(value) ? [] : {};
  for (const key of Object.keys(value)) copy[key] = watched(value[key], `${at}/${key}`, unread);
  unread.push(() => (Array.isArray(value) ? [] : Object.keys(value).filter((key) => !read.has(key)).map((key) => `${at}/${key}`)));
  return new Proxy(copy, {
    get(target, key) {
      read.add(key);
      return target[key];
    },
  });
}

function problems(modules, object) {
  let Model;
  try {
    Model = load(modules, object);
  } catch (error) {
    return [`no such object in the API: ${error.message.split('\n')[0]}`];
  }
  const found = [];
  try {
    new Model(object).validate();
  } catch (error) {
    for (const one of error.errors || [error]) found.push(`${one.instancePath || ''} ${one.message}`.trim());
  }
  const unread = [];
  const twin = watched(object, '', unread);
  try {
    Object.setPrototypeOf(twin, Model.prototype).validate();
  } catch (error) {
    // already said above
  }
  for (const list of unread) for (const where of list()) found.push(`${where} is not a field of the API`);
  return found;
}

let input = '';
process.stdin.on('data', (chunk) => (input += chunk));
process.stdin.on('end', () => {
  const { modules, objects } = JSON.parse(input);
  console.log(JSON.stringify(objects.map((object) => problems(modules, object))));
});
