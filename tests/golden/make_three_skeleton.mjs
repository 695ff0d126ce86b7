// Makes three_skeleton.glb with three.js 0.187 (MIT): node make_three_skeleton.mjs in a folder with node_modules/three.
import fs from 'fs';
globalThis.self = globalThis;
globalThis.FileReader = class { readAsArrayBuffer(b) { b.arrayBuffer().then(x => { this.result = x; this.onloadend?.(); this.onload?.(); }); } readAsDataURL(b) { b.arrayBuffer().then(x => { this.result = 'data:application/octet-stream;base64,' + Buffer.from(x).toString('base64'); this.onloadend?.(); }); } };
import * as THREE from 'three';
import { GLTFExporter } from 'three/examples/jsm/exporters/GLTFExporter.js';
const hips = new THREE.Bone(); hips.name='hips'; hips.position.set(0,1,0); hips.rotation.set(0.3,-0.2,0.5);
const arm = new THREE.Bone(); arm.name='arm'; arm.position.set(0.5,0.2,0); arm.rotation.set(0,0,-0.4); hips.add(arm);
const hand = new THREE.Bone(); hand.name='hand'; hand.position.set(0.6,0,0.1); arm.add(hand);
const group = new THREE.Group(); group.name='armature'; group.position.set(0.1,0,0.2); group.scale.setScalar(2); group.rotation.y=0.7;
group.add(hips); 
const geo = new THREE.BufferGeometry();
geo.setAttribute('position', new THREE.Float32BufferAttribute([0,0,0, 1,0,0, 0,1,0, 1,1,0],3));
geo.setAttribute('skinIndex', new THREE.Uint16BufferAttribute([0,0,0,0, 1,0,0,0, 2,0,0,0, 1,2,0,0],4));
geo.setAttribute('skinWeight', new THREE.Float32BufferAttribute([1,0,0,0, 1,0,0,0, 1,0,0,0, .5,.5,0,0],4));
geo.setIndex([0,1,2, 1,3,2]);
const mesh = new THREE.SkinnedMesh(geo, new THREE.MeshStandardMaterial()); mesh.name='sheet';
const scene = new THREE.Scene(); scene.add(group); scene.add(mesh);
scene.updateMatrixWorld(true);
mesh.bind(new THREE.Skeleton([hips,arm,hand]));
const q = (x,y,z) => new THREE.Quaternion().setFromEuler(new THREE.Euler(x,y,z)).toArray();
const clip = new THREE.AnimationClip('wave', 1, [
 new THREE.QuaternionKeyframeTrack('hips.quaternion',[0,0.5,1],[...q(.3,-.2,.5),...q(1.3,.2,.1),...q(-.5,2,.4)]),
 new THREE.QuaternionKeyframeTrack('arm.quaternion',[0,0.25,1],[...q(0,0,-.4),...q(0,1.2,0),...q(.7,0,-2)]),
 new THREE.VectorKeyframeTrack('hips.position',[0,1],[0,1,0, 1,1.2,3]),
 new THREE.VectorKeyframeTrack('hand.position',[0,1],[.6,0,.1, .7,0,.1],THREE.InterpolateDiscrete),
]);
const glb = await new GLTFExporter().parseAsync(scene,{binary:true,animations:[clip]});
fs.writeFileSync('three_skeleton.glb', Buffer.from(glb));
