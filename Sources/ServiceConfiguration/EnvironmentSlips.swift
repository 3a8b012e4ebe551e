import FeatureCore

extension ServiceSettings {
  /// Refuses variables that are nearly those of a setting: nothing would take them. Others may be another program's.
  public static func refuseSlips(in environment: [String: String]) throws(SettingError) {
    let names = Setting.all.map(\.name) + ["config"]
    for variable in environment.keys.sorted() where variable.hasPrefix("PLUMB_") {
      let name = variable.dropFirst("PLUMB_".count).lowercased()
      if names.contains(name) || Suggestion.didYouMean(name, among: names) == nil { continue }
      throw SettingError(variable, Setting.unknown(name))
    }
  }
}
