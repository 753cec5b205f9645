"""The columns of FOCUS 1.4 and 1.2, in the order in which we write them; our own come after them, as `x_…`."""

from __future__ import annotations

from typing import Final

SPECS: Final = ("1.4", "1.2")

_BOTH: Final = (
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId",
    "CapacityReservationStatus", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId",
    "CommitmentDiscountName", "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType",
    "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice",
    "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
    "PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "RegionId", "RegionName", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter",
    "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
)  # fmt: skip
_ONLY_1_4: Final = (
    "AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags",
    "CommitmentProgramEligibilityDetails", "ContractApplied", "HostProviderName", "InvoiceDetailId",
    "ServiceProviderName",
)  # fmt: skip
_ONLY_1_2: Final = ("ProviderName", "PublisherName")

COST_AND_USAGE: Final = {
    "1.4": tuple(sorted((*_BOTH, *_ONLY_1_4))),
    "1.2": tuple(sorted((*_BOTH, *_ONLY_1_2))),
}
OUR_SPLIT: Final = (
    "x_SplitOriginCost",
    "x_SplitOriginId",
)  # what the split of an origin charge is checked by: 1.4 only
OURS: Final = (
    "x_ActiveCost", "x_ActiveHours", "x_AdjustmentKind", "x_AdjustmentReference",
    "x_CarbonGramsCo2e", "x_ChargeId", "x_Cluster", "x_CorrectsPeriod", "x_Department",
    "x_EnergyKwh", "x_HolderId", "x_HolderKind", "x_Namespace", "x_Node", "x_OwnerVersion", "x_Pool", "x_PriceEntry",
    "x_PriceVersion", "x_Project", "x_Reason", "x_RunId", "x_State", "x_User", "x_Workload", "x_WorkloadSystem",
)  # fmt: skip
BILLING_PERIOD: Final = (
    "BillingPeriodCreated", "BillingPeriodEnd", "BillingPeriodLastUpdated", "BillingPeriodStart",
    "BillingPeriodStatus", "InvoiceIssuerName",
)  # fmt: skip
INVOICE_DETAIL: Final = (
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "InvoiceDetailCreated", "InvoiceDetailDescription", "InvoiceDetailGrain", "InvoiceDetailId",
    "InvoiceDetailLastUpdated", "InvoiceId", "InvoiceIssueDate", "InvoiceIssueStatus", "InvoiceIssuerName",
    "PaymentDueDate", "PaymentTerms", "ReferenceInvoiceId",
    "x_ExactCost", "x_GpuHours",
)  # fmt: skip
CONTRACT_COMMITMENT: Final = (
    "BillingCurrency", "ContractCommitmentApplicability", "ContractCommitmentBenefitCategory",
    "ContractCommitmentCategory", "ContractCommitmentCost", "ContractCommitmentCreated",
    "ContractCommitmentDescription", "ContractCommitmentDiscountPercentage", "ContractCommitmentDurationType",
    "ContractCommitmentFulfillmentInterval", "ContractCommitmentId", "ContractCommitmentLastUpdated",
    "ContractCommitmentLifecycleStatus", "ContractCommitmentModel", "ContractCommitmentOfferCategory",
    "ContractCommitmentPaymentInterval", "ContractCommitmentPaymentModel",
    "ContractCommitmentPaymentUpfrontPercentage", "ContractCommitmentPeriodEnd", "ContractCommitmentPeriodStart",
    "ContractCommitmentQuantity", "ContractCommitmentType", "ContractCommitmentUnit", "ContractId",
    "ContractPeriodEnd", "ContractPeriodStart", "InvoiceIssuerName", "PricingCurrency",
    "PricingCurrencyContractCommitmentCost", "ServiceProviderName",
)  # fmt: skip


def cost_and_usage(spec: str) -> tuple[str, ...]:
    """Return the columns of the Cost and Usage dataset as we write it."""
    ours = sorted((*OURS, *OUR_SPLIT)) if spec == "1.4" else OURS
    return (*COST_AND_USAGE[spec], *ours)
