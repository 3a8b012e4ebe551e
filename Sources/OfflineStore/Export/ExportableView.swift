public import FeatureCore

extension ViewPlan {
  /// A column whose name every export has for something else, so that the view cannot be exported; nil if there is none.
  public var columnThatPreventsExport: String? { SnapshotTable.clash(self, hasStates: true) }
}
