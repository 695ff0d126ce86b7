"""Render an animated .glb: blender --background --python-exit-code 1 --python in_blender.py -- GLB FOLDER SECONDS..."""

import sys

import bpy
import numpy as np
from mathutils import Vector

np.bool = bool  # Debian's Blender 3.4 reads glTF with a name that its numpy no longer has


def main(glb: str, folder: str, times_s: list[float]) -> None:
    """Import the file into an empty scene; write FOLDER/0.png and so on, one for each time."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = 100
    bpy.ops.import_scene.gltf(filepath=glb)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 48, False
    scene.render.resolution_x, scene.render.resolution_y = 420, 560
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("grey")
    scene.world.use_nodes = True
    background = scene.world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value, background.inputs["Strength"].default_value = (0.75, 0.8, 0.9, 1), 0.45
    bpy.ops.mesh.primitive_plane_add(size=40)
    floor = bpy.data.materials.new("floor")
    floor.use_nodes = True
    floor.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.25, 0.27, 0.3, 1)
    bpy.context.object.data.materials.append(floor)
    bpy.ops.object.light_add(type="SUN", rotation=(0.6, 0.3, 0.4))
    bpy.context.object.data.energy = 2.0
    bpy.ops.object.camera_add()
    scene.camera = bpy.context.object
    scene.camera.data.lens = 50
    rig = next(thing for thing in scene.objects if thing.type == "ARMATURE")
    for i, time_s in enumerate(times_s):
        scene.frame_set(round(time_s * scene.render.fps))
        pelvis = rig.matrix_world @ rig.pose.bones[0].head
        target = Vector((pelvis.x, pelvis.y, 0.9))
        scene.camera.location = target + Vector((2.1, -2.6, 0.4))
        scene.camera.rotation_euler = (target - scene.camera.location).to_track_quat("-Z", "Y").to_euler()
        scene.render.filepath = f"{folder}/{i}.png"
        bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    words = sys.argv[sys.argv.index("--") + 1 :]
    main(words[0], words[1], [float(word) for word in words[2:]])
