public import FeatureCore
import Parquet

/// The columns that a join adds to a spine's: a label, then for each view its features and their ages. The features of one
/// view keep their names; those of several are named `<view>__<feature>`, and likewise `as_of` and `age_seconds`. For a
/// service they are its columns.
public struct TrainingColumns: Sendable {
  /// The views, in order.
  public let views: [ViewPlan]
  let hasLabel: Bool
  let hasAges: Bool
  let columns: [ParquetColumn]
  /// Whose columns they are; its reads are the views.
  let service: ServicePlan?

  init(_ views: [ViewPlan], hasLabel: Bool, hasAges: Bool, service: ServicePlan? = nil) {
    self.views = views
    self.hasLabel = hasLabel
    self.hasAges = hasAges && service == nil
    self.service = service
    var columns = hasLabel ? [ParquetColumn("label", .scalar(.int64), isRequired: true)] : []
    if let service {
      self.columns = columns + service.columns.map { ParquetColumn($0.name, $0.type) }
      return
    }
    for view in views {
      let prefix = views.count == 1 ? "" : "\(view.name)__"
      columns += view.features.map { ParquetColumn(prefix + $0.name, $0.type) }
      guard hasAges else { continue }
      columns.append(ParquetColumn(prefix + "as_of", .scalar(.timestamp)))
      columns.append(ParquetColumn(prefix + "age_seconds", .scalar(.double)))
    }
    self.columns = columns
  }

  /// Their names.
  public var names: [String] { columns.map(\.name) }
}
