// What a plan's JSON file says, and label vectors from label names: the same as stargan_rt/labels.py.
#pragma once

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "json.hpp"

namespace stargan {

struct Label {
  std::string name, dataset;  // `name` is unique: "dataset:label" where two data sets share a label
};

struct Manifest {
  int height = 0, width = 0;
  std::vector<Label> labels;
  std::vector<std::string> datasets;
  std::vector<std::vector<std::string>> groups;  // labels that exclude each other
  float unspecified = 0;

  int dim() const { return static_cast<int>(labels.size() + (datasets.size() > 1 ? datasets.size() : 0)); }
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("can't read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline Manifest read_manifest(const std::string& path) {
  const json::Value root = json::parse(read_file(path));
  if (root["version"].number != 1) throw std::runtime_error(path + " is of another version than this program reads");
  const json::Value& space = root["labels"];
  Manifest manifest;
  if (root["size"].array.size() != 2) throw std::runtime_error(path + " has no size");
  manifest.height = static_cast<int>(root["size"].array[0].number);
  manifest.width = static_cast<int>(root["size"].array[1].number);
  if (const json::Value* value = space.find("unspecified")) manifest.unspecified = static_cast<float>(value->number);
  std::map<std::string, int> times;
  for (const auto& [dataset, names] : space["datasets"].object)
    for (const auto& name : names.array) ++times[name.string];
  for (const auto& [dataset, names] : space["datasets"].object) {
    manifest.datasets.push_back(dataset);
    for (const auto& name : names.array)
      manifest.labels.push_back({times[name.string] == 1 ? name.string : dataset + ":" + name.string, dataset});
  }
  if (const json::Value* groups = space.find("groups"))
    for (const auto& [group, members] : groups->object) {
      manifest.groups.emplace_back();
      for (const auto& member : members.array) manifest.groups.back().push_back(member.string);
    }
  return manifest;
}

inline std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

inline std::string lower(std::string text) {  // of ASCII letters
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return text;
}

inline const Label& find_label(const Manifest& manifest, const std::string& name) {
  std::string known;
  for (const Label& label : manifest.labels) {
    if (lower(label.name) == lower(name) || lower(label.dataset + ":" + label.name) == lower(name)) return label;
    known += (known.empty() ? "" : ", ") + label.name;
  }
  throw std::runtime_error("unknown label '" + name + "'; this model knows: " + known);
}

// The label vectors of a request such as "Blond_Hair, happy=0.7", one for each data set that it names, in that order.
inline std::vector<std::vector<float>> label_vectors(const Manifest& manifest, const std::string& request) {
  std::vector<std::pair<const Label*, float>> wanted;
  std::vector<std::string> datasets;
  std::istringstream parts(request);
  for (std::string part; std::getline(parts, part, ',');) {
    if (trimmed(part).empty()) continue;
    const auto equals = part.find('=');
    const Label& label = find_label(manifest, trimmed(part.substr(0, equals)));
    float value = 1;
    if (equals != std::string::npos) {
      const std::string number = trimmed(part.substr(equals + 1));
      std::size_t used = 0;
      try {
        value = std::stof(number, &used);
      } catch (const std::logic_error&) {
      }
      if (used == 0 || used != number.size() || !(value >= 0 && value <= 1))
        throw std::runtime_error("the value of " + label.name + " must be a number in [0, 1]; got '" + number + "'");
    }
    for (const auto& [other, _] : wanted)
      if (other == &label) throw std::runtime_error("label " + label.name + " is given twice");
    wanted.emplace_back(&label, value);
    if (std::find(datasets.begin(), datasets.end(), label.dataset) == datasets.end()) datasets.push_back(label.dataset);
  }
  if (wanted.empty()) throw std::runtime_error("no label given");

  std::vector<std::vector<float>> vectors;
  for (const std::string& dataset : datasets) {
    std::map<std::string, float> values;
    for (const auto& [label, value] : wanted)
      if (label->dataset == dataset) values[label->name] = value;
    for (const auto& group : manifest.groups) {
      const auto is_on = [&](const std::string& name) { return values.count(name) && values[name] > 0; };
      const auto on = std::count_if(group.begin(), group.end(), is_on);
      if (on > 1) throw std::runtime_error("two labels of '" + request + "' exclude each other");
      if (on == 1)
        for (const std::string& member : group) values.emplace(member, 0.0f);
    }
    std::vector<float> vector(manifest.dim(), 0);
    for (std::size_t i = 0; i < manifest.labels.size(); ++i) {
      const auto found = values.find(manifest.labels[i].name);
      vector[i] = found == values.end() ? manifest.unspecified : found->second;
    }
    if (manifest.datasets.size() > 1) {
      const auto number = std::find(manifest.datasets.begin(), manifest.datasets.end(), dataset);
      vector[manifest.labels.size() + (number - manifest.datasets.begin())] = 1;
    }
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

}  // namespace stargan
