"""EMRs as they really are, one file each. Every claim carries its source in brackets:

[4a] to [4c] the project's matrix of what EMRs let a third party write and read, and of what their
             statements are worth; dates are those of its rows; "row N" is its list of known troubles
[SEG]        an integrator's notes on writing into Epic's R4 sandbox (August 2026 version), 30 Sept 2026
[CERNER]     Oracle Health's R4 pages, snapshot of 2 May 2024
[ATHENA-CS]  athenahealth's live CapabilityStatement, 14 August 2026
[ECW-CS]     eClinicalWorks' live CapabilityStatement, 14 August 2026; [ECW-RATE] its limit, 7 Oct 2025
[MT-CS]      MEDITECH Greenfield's CapabilityStatement, read on 6 August 2026
[NG-CS]      NextGen Enterprise's CapabilityStatement, 24 July 2026
[CANVAS]     Canvas' API pages, snapshot of 22 May 2025, and its live CapabilityStatement, 14 August 2026
[FOREIGN]    HAPI FHIR 5 as the tests run it beside this one

"Chosen" is what no source says: then the sandbox takes the worse of the likely habits. Patients,
practitioners and places can be listed everywhere, since a sandbox has no export to start from.
"""
