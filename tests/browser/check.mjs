// Plays a .glb or .bvh with three.js and prints where it puts joints and skin: node check.mjs FILE TIME...
// Needs three beside it: npm install --prefix tests/browser --no-save three@0.187
import fs from 'node:fs';
import * as THREE from 'three';
import { BVHLoader } from 'three/examples/jsm/loaders/BVHLoader.js';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';

globalThis.self = globalThis;
const [, , file, ...words] = process.argv;
const bytes = fs.readFileSync(file);
const out = { joints: [], skin: [] };
let root, clip, bones, mesh = null;
if (file.endsWith('.bvh')) {
  const result = new BVHLoader().parse(bytes.toString());
  [root, clip, bones] = [result.skeleton.bones[0], result.clip, result.skeleton.bones.filter((b) => b.name !== 'ENDSITE')];
} else {
  const gltf = await new GLTFLoader().parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength), '');
  gltf.scene.traverse((o) => { if (o.isSkinnedMesh && !mesh) mesh = o; });
  [root, clip, bones] = [gltf.scene, gltf.animations[0], mesh.skeleton.bones];
}
const mixer = new THREE.AnimationMixer(root);
const action = mixer.clipAction(clip);
action.setLoop(THREE.LoopOnce);
action.clampWhenFinished = true;
action.play();
for (const time of words.map(Number)) {
  mixer.setTime(time);
  root.updateMatrixWorld(true);
  out.joints.push(Object.fromEntries(bones.map((bone) => [bone.name, bone.getWorldPosition(new THREE.Vector3()).toArray()])));
  const points = [];
  if (mesh) {
    mesh.skeleton.update();
    const place = mesh.geometry.attributes.position;
    for (let i = 0; i < place.count; i += 1) {
      const vertex = new THREE.Vector3().fromBufferAttribute(place, i);
      points.push(mesh.localToWorld(mesh.applyBoneTransform(i, vertex)).toArray());
    }
  }
  out.skin.push(points);
}
console.log(JSON.stringify(out));
